"""What an adapter is: a pure answer to "what must stand where, so that this gateway exports?".

An adapter knows one gateway's keys and encodings and nothing about clusters. It returns
settings; the plan decides whether and how they are written. docs/adapters.md tells how to add one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import Endpoints, Headers

HEADERS_KEY = "otlp-headers"
"""Key of the operator's Secret that holds the header list of SDK-parsed variables."""
RAW_HEADERS_KEY = "raw-headers"
"""Key of the operator's Secret that holds the header list of parsers that decode nothing."""
API_KEY = "api-key"
"""Key of the operator's Secret that holds the bare API key."""
CA_KEY = "ca.crt"
"""Key of the operator's Secret that holds the CA bundle."""
COPY_KEYS = frozenset({HEADERS_KEY, RAW_HEADERS_KEY, API_KEY, CA_KEY})
"""All keys that any adapter puts into the operator's Secret beside a workload."""
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
        documents: keys of ``files`` that are files of the gateway's own; they exist in Reference mode only.
        reloaded: keys of ``files`` that the gateway reads again by itself: a change of them restarts nothing.
    """

    env: tuple[EnvVar, ...]
    files: Mapping[str, str] = field(repr=False)
    mount_ca: bool = False
    documents: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class Seen:
    """What is known of the container that exports and of its workload.

    Attributes:
        env: its own variables; a value of None comes from elsewhere and is not known.
        labels: of the workload.
        files: texts of the ConfigMaps that its pods mount, by file name; empty unless ``reads_files`` asks for them.
    """

    env: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What the documentation says of a gateway, beside what the code itself shows.

    Attributes:
        title: of the gateway, as its makers write it.
        source: where its settings are described.
        restart: what it takes until changed settings are used.
        ca: setting for a private CA, or why there is none.
        content: how prompts and completions are kept out of traces, or why that is not possible.
        headers: form of the header values.
        notes: whatever else somebody who runs it should know.
    """

    title: str
    source: str
    restart: str
    ca: str
    content: str
    headers: str
    notes: tuple[str, ...] = ()


class Adapter(ABC):
    """One gateway.

    Attributes:
        type: value of ``spec.gateway.type``.
        container: usual name of the container that exports, if the gateway has one.
        evidence: where the stamp of the GatewayTelemetry is found in spans; without one, traces of this gateway
            cannot be told from others in the same project.
        reads_files: whether ``advice`` looks at ConfigMaps that the pods mount.
        literals: names that it writes with literal values beside the traces-scoped ones of ``otel``, without giving
            way: where the record of what was written is lost, they are known by these.
        page: for the documentation.
    """

    type: ClassVar[str]
    container: ClassVar[str | None] = None
    evidence: ClassVar[Evidence] = "Resource"
    reads_files: ClassVar[bool] = False
    literals: ClassVar[frozenset[str]] = frozenset()
    page: ClassVar[Page]

    @abstractmethod
    def settings(self, context: Context) -> Settings:
        """Return what must be written.

        Raises:
            EndpointProblem: project, key, CA or an option cannot be carried by this gateway; nothing is mangled.
        """

    @abstractmethod
    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """Return variables that would override, leak or switch off what is written."""

    def check(self, seen: Seen) -> None:  # noqa: B027 most gateways have nothing to check
        """Refuse a workload that these settings are not for.

        Raises:
            EndpointProblem: e.g. its version is configured in another way.
        """

    def advice(self, seen: Seen) -> list[str]:
        """Return warnings about what is there that do not stop a write; names, never values."""
        return []
