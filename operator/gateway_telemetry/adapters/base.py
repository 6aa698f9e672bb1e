"""What an adapter is: a pure answer to "what must stand where, so that this gateway exports?".

An adapter knows one gateway's keys and encodings and nothing about clusters. It returns
settings; the plan decides whether and how they are written. docs/adapters.md tells how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import Endpoints, Headers

HEADERS_KEY = "otlp-headers"
"""Key of the operator's Secret that holds the header list of SDK-parsed variables."""
CA_KEY = "ca.crt"
"""Key of the operator's Secret that holds the CA bundle."""
CA_DIRECTORY = "/etc/gateway-telemetry"
"""Where the CA bundle is mounted."""
VOLUME = "gateway-telemetry"

Evidence = Literal["Resource", "None"]
"""Whether every span carries the evidence stamp in its resource, or the gateway has no place for it."""


@dataclass(frozen=True)
class EnvVar:
    """One variable that the operator writes.

    Attributes:
        value: literal value, or None when it comes from the operator's Secret.
        secret_key: key of the operator's Secret.
        yields: whether a variable of this name that is already there is left alone without a conflict.
    """

    name: str
    value: str | None = None
    secret_key: str | None = None
    yields: bool = False


@dataclass(frozen=True)
class Settings:
    """All that one workload needs.

    Attributes:
        env: in the order in which it is appended to the container.
        files: data of the operator's Secret; may hold the key, hence hidden in repr.
        mount_ca: whether the CA file is mounted at ``CA_DIRECTORY/CA_KEY``.
    """

    env: tuple[EnvVar, ...]
    files: Mapping[str, str] = field(repr=False)
    mount_ca: bool = False


@dataclass(frozen=True)
class Forbidden:
    """A variable that must not be on the container, and why.

    Attributes:
        values: lower-case values that are harmful; empty when any value is.
        reason: condition reason it leads to.
        why: half a sentence for the message, after the variable's name.
    """

    name: str
    reason: Reason
    why: str
    values: frozenset[str] = frozenset()
    harmless: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Context:
    """What an adapter may look at.

    Attributes:
        identity: short stable id of the GatewayTelemetry, stamped for evidence of delivery.
        workload: kind, namespace and name of the workload, for resource attributes; the name is empty where the
            settings are shared by several.
    """

    spec: GatewayTelemetrySpec
    endpoints: Endpoints
    headers: Headers
    ca_pem: str | None
    identity: str
    workload: tuple[str, str, str]


class Adapter(Protocol):
    """One gateway.

    Attributes:
        type: value of ``spec.gateway.type``.
        container: usual name of the container that exports, if the gateway has one.
        evidence: where the stamp of the GatewayTelemetry is found in spans; without one, traces of this gateway
            cannot be told from others in the same project.
    """

    type: str
    container: str | None
    evidence: Evidence

    def settings(self, context: Context) -> Settings:
        """Return what must be written.

        Raises:
            EndpointProblem: the project or key cannot be carried by this gateway; nothing is mangled.
        """
        ...

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """Return variables that would override, leak or switch off what is written."""
        ...

    def advice(self, env: Mapping[str, Any]) -> list[str]:
        """Return warnings about the container's own variables that do not stop a write."""
        ...
