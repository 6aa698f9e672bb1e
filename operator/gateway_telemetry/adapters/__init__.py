"""One file per gateway: which keys, which encoding, which container. Pure."""

from __future__ import annotations

from gateway_telemetry.adapters.agentgateway import Agentgateway
from gateway_telemetry.adapters.apisix import Apisix
from gateway_telemetry.adapters.base import (
    CA_DIRECTORY,
    CA_KEY,
    COPY_KEYS,
    HEADERS_KEY,
    VOLUME,
    Adapter,
    Context,
    EnvVar,
    Evidence,
    Forbidden,
    Page,
    Seen,
    Settings,
)
from gateway_telemetry.adapters.bifrost import Bifrost
from gateway_telemetry.adapters.envoy import Envoy
from gateway_telemetry.adapters.envoy_ai_gateway import EnvoyAiGateway
from gateway_telemetry.adapters.grpc_only import Higress, KGateway
from gateway_telemetry.adapters.kong import Kong
from gateway_telemetry.adapters.litellm import LiteLLM
from gateway_telemetry.adapters.litellm_langsmith import LiteLLMLangSmith
from gateway_telemetry.adapters.otel_collector import OtelCollector
from gateway_telemetry.adapters.otel_sdk import OtelSdk
from gateway_telemetry.adapters.portkey import Portkey
from gateway_telemetry.adapters.resource import CONFIG_HASH, Place, ResourceAdapter
from gateway_telemetry.adapters.traefik import Traefik
from gateway_telemetry.adapters.truefoundry import TrueFoundry
from gateway_telemetry.api.gateway_types import Gateway

_ADAPTERS: dict[str, Adapter] = {
    adapter.type: adapter
    for adapter in (
        Agentgateway(),
        Apisix(),
        Bifrost(),
        Envoy(),
        EnvoyAiGateway(),
        Higress(),
        KGateway(),
        Kong(),
        LiteLLM(),
        OtelCollector(),
        OtelSdk(),
        Portkey(),
        Traefik(),
        TrueFoundry(),
    )
}
_LITELLM_LANGSMITH = LiteLLMLangSmith()


def adapter_of(gateway: Gateway) -> Adapter:
    """Return the adapter of ``spec.gateway``: options may choose another than the type's usual one.

    Raises:
        KeyError: there is none; the CRD's enum admits no such type.
    """
    if gateway.litellm is not None and gateway.litellm.callback == "langsmith":
        return _LITELLM_LANGSMITH
    return adapter_for(gateway.type)


def adapter_for(type_: str) -> Adapter:
    """Return the usual adapter of a ``spec.gateway.type``.

    Raises:
        KeyError: there is none.
    """
    return _ADAPTERS[type_]


def adapter_types() -> tuple[str, ...]:
    """Return all adapter types, sorted."""
    return tuple(sorted(_ADAPTERS))


def adapters() -> tuple[Adapter, ...]:
    """Return all adapters, in the order of their types."""
    found = [*_ADAPTERS.values(), _LITELLM_LANGSMITH]
    return tuple(sorted(found, key=lambda adapter: (adapter.type, adapter.page.title)))


__all__ = [
    "CA_DIRECTORY",
    "CA_KEY",
    "CONFIG_HASH",
    "COPY_KEYS",
    "HEADERS_KEY",
    "VOLUME",
    "Adapter",
    "Context",
    "EnvVar",
    "Evidence",
    "Forbidden",
    "Page",
    "Place",
    "ResourceAdapter",
    "Seen",
    "Settings",
    "adapter_for",
    "adapter_of",
    "adapter_types",
    "adapters",
]
