"""The ConfigMaps with a CA that the operator writes beside Secrets of ``install.reference``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.adapters import CA_KEY
from gateway_telemetry.plan.views.common import Key, digest
from gateway_telemetry.plan.views.records import annotated_owner, is_managed


@dataclass(frozen=True, slots=True)
class CaCopy:
    """A ConfigMap of the operator's.

    Attributes:
        owner: namespace and name of the GatewayTelemetry that it was written for.
        digest: hash of the CA; empty if there is none in it.
        version: resourceVersion; two views that differ in it alone are equal.
    """

    namespace: str
    name: str
    owner: Key
    digest: str
    version: str = field(default="", compare=False)


def ca_digest(pem: str) -> str:
    """Return the hash of a CA."""
    return digest({CA_KEY: pem})


def project_ca_copy(obj: Mapping[str, Any]) -> CaCopy | None:
    """Return the view of a ConfigMap that the operator wrote, or None if it is not one.

    Anybody who may write ConfigMaps can make one that looks like ours: it speaks for its own namespace only.
    """
    metadata, owner = obj["metadata"], annotated_owner(obj)
    if not is_managed(obj) or owner is None:
        return None
    pem = (obj.get("data") or {}).get(CA_KEY)
    return CaCopy(
        namespace=owner[0],
        name=metadata["name"],
        owner=owner,
        digest="" if pem is None else ca_digest(pem),
        version=metadata.get("resourceVersion") or "",
    )
