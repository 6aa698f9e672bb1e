"""One file per gateway: which keys, which encoding, which container. Pure."""

from __future__ import annotations

from gateway_telemetry.adapters.base import (
    CA_DIRECTORY,
    CA_KEY,
    HEADERS_KEY,
    VOLUME,
    Adapter,
    Context,
    EnvVar,
    Evidence,
    Forbidden,
    Settings,
)
from gateway_telemetry.adapters.litellm import LiteLLM
from gateway_telemetry.adapters.otel_sdk import OtelSdk

_ADAPTERS: dict[str, Adapter] = {adapter.type: adapter for adapter in (LiteLLM(), OtelSdk())}


def adapter_for(type_: str) -> Adapter:
    """Return the adapter of a ``spec.gateway.type``; the CRD's enum admits no other.

    Raises:
        KeyError: there is no such adapter.
    """
    return _ADAPTERS[type_]


def adapter_types() -> tuple[str, ...]:
    """Return all adapter types, sorted."""
    return tuple(sorted(_ADAPTERS))


__all__ = [
    "CA_DIRECTORY",
    "CA_KEY",
    "HEADERS_KEY",
    "VOLUME",
    "Adapter",
    "Context",
    "EnvVar",
    "Evidence",
    "Forbidden",
    "Settings",
    "adapter_for",
    "adapter_types",
]
