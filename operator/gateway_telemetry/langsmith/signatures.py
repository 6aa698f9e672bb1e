"""What an answer with the wrong status or content means: LangSmith's failure signatures as a table.

They are known from LangSmith's documentation, SDK and chart, and from public reports: nginx answers for the web app,
status codes differ between ingest and the rest, and only the body tells the refusals of keys apart.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.transport import Answer

Kind = Literal["info", "read", "ingest"]
DEFAULT_RETRY = 30.0
"""Seconds to wait after a 429 that does not say how long; LangSmith's SDK does the same."""
_LONGEST_RETRY = 3600.0
_HTTPS_EXPECTED = (
    b"http request was sent to https port",
    b"http request to an https server",
    b"speaking plain http to an ssl",
)


@dataclass(frozen=True)
class Signature:
    """One row: the first whose test holds names the reason."""

    reason: Reason
    holds: Callable[[Answer, Mapping[str, Any], Kind], bool]


def _code(*codes: int) -> Callable[[Answer, Mapping[str, Any], Kind], bool]:
    return lambda answer, _body, _kind: answer.status in codes


def _says(body: Mapping[str, Any], text: str) -> bool:
    return any(text in value.lower() for value in body.values() if isinstance(value, str))


TABLE: tuple[Signature, ...] = (
    Signature(Reason.TLS_EXPECTED, lambda a, _b, _k: a.status == 400 and _plain_to_tls(a.body)),
    Signature(Reason.REDIRECTED, lambda a, _b, _k: 300 <= a.status < 400),
    Signature(Reason.WORKSPACE_REQUIRED, lambda a, b, _k: a.status == 403 and _says(b, "org_scoped_key_requires")),
    Signature(Reason.KEY_LEGACY, lambda a, b, _k: a.status in (401, 403) and _says(b, "legacy api key")),
    Signature(Reason.BLOCKED_IN_FRONT, lambda a, b, _k: a.status in (401, 403, 407) and not b),
    Signature(Reason.KEY_REJECTED, _code(401)),
    Signature(Reason.KEY_FORBIDDEN, _code(403)),
    Signature(Reason.SPEND_CAP, lambda a, _b, k: a.status == 402 and k == "ingest"),
    Signature(Reason.OTLP_ROUTE_MISSING, lambda a, _b, k: a.status == 404 and k == "ingest"),
    Signature(Reason.API_NOT_FOUND, _code(404)),
    Signature(Reason.METHOD_NOT_ALLOWED, _code(405)),
    Signature(Reason.BODY_TOO_LARGE, lambda a, _b, k: a.status == 413 and k == "ingest"),
    Signature(Reason.ENCODING_REFUSED, lambda a, _b, k: a.status == 415 and k == "ingest"),
    Signature(Reason.RATE_LIMITED, _code(429)),
    Signature(Reason.SERVER_ERROR, lambda a, _b, _k: a.status >= 500),
    Signature(Reason.NOT_LANGSMITH, lambda a, _b, _k: not 200 <= a.status < 300),
    Signature(Reason.ANSWERED_BY_UI, lambda a, _b, _k: _is_page(a)),
    Signature(Reason.EMPTY_ANSWER, lambda a, _b, k: k != "ingest" and a.whole and not a.body.strip()),
)


def check(answer: Answer, kind: Kind, destination: Destination, what: str) -> None:
    """Return if an answer is a success of an API.

    Args:
        what: the request in words, e.g. ``GET /info``; messages begin with it.

    Raises:
        Failed: the reason of the first row that holds; repeats nothing of the body.
    """
    parsed = answer.json()
    body = parsed if isinstance(parsed, dict) else {}
    row = next((row for row in TABLE if row.holds(answer, body, kind)), None)
    if row is None:
        return
    where = f"{what} at {destination.endpoints.host}:{destination.endpoints.port}"
    meaning = BY_REASON[row.reason].meaning.removeprefix(f"{answer.status}: ")
    text = f"{where}: status {answer.status}: {meaning}"
    if row.reason is Reason.REDIRECTED:
        text = f"{where}: status {answer.status}, a redirect to {_target(answer, destination)}"
    asked = answer.status == 429 or (answer.status == 503 and "retry-after" in answer.headers)
    wait = retry_after(answer) if asked else None
    raise Failed(row.reason, text, retry_after=wait)


def json_object(answer: Answer, destination: Destination, what: str) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        Failed: it is something else.
    """
    parsed = answer.json()
    if isinstance(parsed, dict):
        return parsed
    raise not_langsmith(answer, destination, what, "a JSON object")


def json_array(answer: Answer, destination: Destination, what: str) -> list[Any]:
    """Return the body as a JSON array.

    Raises:
        Failed: it is something else.
    """
    parsed = answer.json()
    if isinstance(parsed, list):
        return parsed
    raise not_langsmith(answer, destination, what, "a JSON array")


def not_langsmith(answer: Answer, destination: Destination, what: str, expected: str) -> Failed:
    """Return the failure of an answer that is a success and not what LangSmith sends."""
    where = f"{destination.endpoints.host}:{destination.endpoints.port}"
    size = "" if answer.whole else ", and is longer than 1 MiB"
    return Failed(Reason.NOT_LANGSMITH, f"{what} at {where}: the answer is not {expected}{size}")


def retry_after(answer: Answer, now: datetime | None = None) -> float:
    """Return the seconds that Retry-After asks for (RFC 9110 10.2.3), from 1 to 3600."""
    text = answer.headers.get("retry-after", "").strip()
    seconds = DEFAULT_RETRY
    if re.fullmatch(r"\d{1,9}", text):
        seconds = float(text)
    elif text and (moment := http_date(text)) is not None:
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 1.0), _LONGEST_RETRY)


def http_date(text: str) -> datetime | None:
    """Return an HTTP date in UTC; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_page(answer: Answer) -> bool:
    return answer.media_type in ("text/html", "application/xhtml+xml") or answer.body.lstrip()[:14].lower().startswith(
        (b"<!doctype html", b"<html")
    )


def _plain_to_tls(body: bytes) -> bool:
    """Tell the pages by which nginx, Go and Apache answer http on a port of https."""
    text = body[:4096].lower()
    return any(phrase in text for phrase in _HTTPS_EXPECTED)


def _target(answer: Answer, destination: Destination) -> str:
    """Return scheme, host and port of a redirect; path and query may hold anything."""
    try:
        parts = urlsplit(answer.headers.get("location", ""))
        port = f":{parts.port}" if parts.port else ""
        return destination.shown(f"{parts.scheme}://{parts.hostname}{port}") if parts.hostname else "another path"
    except ValueError:
        return "what is no URL"
