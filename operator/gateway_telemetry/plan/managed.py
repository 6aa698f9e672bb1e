"""The Secrets that the operator writes all look alike: labelled as its own, owned by a gateway, with plain data."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.plan.views import MANAGED_BY, MANAGED_BY_LABEL


def managed_secret(
    namespace: str, name: str, annotations: Mapping[str, str], files: Mapping[str, str], owner: Mapping[str, str]
) -> dict[str, Any]:
    """Return a Secret as a whole object. It carries no ``immutable``, since it changes with the key.

    Args:
        files: the data, by key, as text.
        owner: ``ownerReferences`` entry of the object that it goes with; none where that has no ``uid``.
    """
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {MANAGED_BY_LABEL: MANAGED_BY, meta.ROLE_LABEL: meta.ROLE_COPY},
        "annotations": dict(annotations),
    }
    if owner.get("uid"):
        metadata["ownerReferences"] = [dict(owner)]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in sorted(files.items())},
    }


def record_text(content: Mapping[str, Any]) -> str:
    """Return a record as text: the same content is the same bytes, so nothing is written when nothing changed."""
    return json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
