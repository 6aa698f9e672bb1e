"""What all views share."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from typing import Any

TIME_FORMAT = "%Y-%m-%dT%H:%M:%SZ"
"""How Kubernetes writes a time: RFC 3339, seconds, UTC."""
Key = tuple[str, str]
"""Namespace and name."""


def compact(value: Any) -> Any:
    """Return a JSON value whose strings are shared with equal ones.

    Thousands of objects carry the same keys, reasons and messages; each decoded answer brings its own copies of them.
    """
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, Mapping):
        return {sys.intern(key): compact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [compact(item) for item in value]
    return value


def digest(files: Mapping[str, str]) -> str:
    """Return a hash of the operator's Secret content other than the record."""
    canonical = json.dumps(dict(sorted(files.items())), ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
