"""Logs on standard error: one line each, as text for people or JSON for collectors."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


class JsonFormatter(logging.Formatter):
    """One JSON object per line, with the field names that Kubernetes' own components use."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON."""
        entry = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def without_kopf_traces(record: logging.LogRecord) -> bool:
    """Take the traceback off what kopf logs; its message says which watch met what, and nobody can mend kopf's code."""
    if record.name.split(".")[0] == "kopf" or (record.name == "asyncio" and "/kopf/" in record.getMessage()):
        record.exc_info = None
    return True


def configure(level: str, form: str) -> None:
    """Send all logs to standard error.

    Args:
        level: debug, info, warning or error; what kopf and httpx say is shown from warning on, unless at debug.
        form: ``text`` or ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # At debug, httpcore shows every header, keys included.
    logging.getLogger("httpcore").setLevel(max(root.level, logging.INFO))
    if level != "debug":
        handler.addFilter(without_kopf_traces)
        for name in ("kopf", "asyncio", "httpx"):
            logging.getLogger(name).setLevel(max(root.level, logging.WARNING))
