"""Labelled Secrets and ConfigMaps that users gave to the operator."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.api import meta


@dataclass(frozen=True, slots=True)
class Source:
    """A labelled Secret or ConfigMap that users gave to the operator."""

    kind: str
    namespace: str
    name: str
    annotations: Mapping[str, str]
    data: Mapping[str, bytes] = field(repr=False)

    def hosts(self) -> tuple[str, ...] | None:
        """Return the hosts that the key is bound to, or None when it is bound to none in particular."""
        text = self.annotations.get(meta.HOSTS_ANNOTATION)
        if text is None:
            return None
        return tuple(part.strip().lower() for part in text.split(",") if part.strip())


def project_source(obj: Mapping[str, Any]) -> Source:
    """Return the view of a labelled Secret or ConfigMap.

    Data that is not valid base64 is kept as an empty value, so that it is reported as such
    instead of stopping the watch.
    """
    metadata = obj["metadata"]
    kind = obj.get("kind") or "Secret"
    data: dict[str, bytes] = {}
    if kind == "Secret":
        for key, text in (obj.get("data") or {}).items():
            try:
                # Line breaks are no error to the API server either; files have them, its answers never.
                data[key] = base64.b64decode("".join((text or "").split()), validate=True)
            except (binascii.Error, ValueError):
                data[key] = b""
        for key, text in (obj.get("stringData") or {}).items():
            data[key] = str(text).encode()
    else:
        data = {key: str(text).encode() for key, text in (obj.get("data") or {}).items()}
    return Source(
        kind=kind,
        namespace=metadata.get("namespace") or "default",
        name=metadata["name"],
        annotations=dict(metadata.get("annotations") or {}),
        data=data,
    )
