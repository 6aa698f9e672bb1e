"""How the operator is started: one value per flag of ``gateway-telemetry operator``."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway_telemetry.cluster.lease import LeaseTimes
from gateway_telemetry.control.fights import REPAIR_PAUSES
from gateway_telemetry.control.gate import Limits
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.vantage import Program


@dataclass(frozen=True)
class Address:
    """Where a server listens.

    Attributes:
        port: 0 lets the system choose one, which is logged.
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Parse ``HOST:PORT``, with IPv6 hosts in brackets, or ``:PORT`` for all addresses.

        Raises:
            ValueError: it is neither.
        """
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"{text!r} is not an address such as 0.0.0.0:8080 or [::]:8080")
        return cls(host.strip("[]") or "0.0.0.0", int(port))  # noqa: S104 the user wrote :PORT


@dataclass(frozen=True)
class Settings:
    """The operator's own configuration.

    Attributes:
        namespaces: those that are watched; all when empty.
        options: what planning depends on.
        workers: keys that are reconciled at a time.
        limits: workloads whose pods may be replaced at a time.
        repair_pauses: seconds between repairs of what somebody takes away; after the last of them it is given up.
        resync_seconds: pause between full lists, which heal what a watch missed.
        lease: namespace and name of the leader's Lease, or None to run without election.
        identity: holder name in the Lease.
        probe: what runs in Jobs that look at LangSmith from gateways' namespaces; None to start none.
        finalizers: whether a deletion of a GatewayTelemetry waits until what was written is taken back.
        read_only: whether to write nothing but status.
        verify: whether to look at LangSmith: probes, canaries and reads.
    """

    namespaces: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    kubeconfig: str | None = None
    context: str | None = None
    workers: int = 8
    limits: Limits = field(default_factory=Limits)
    repair_pauses: tuple[float, ...] = REPAIR_PAUSES
    resync_seconds: float = 600.0
    lease: tuple[str, str] | None = None
    lease_times: LeaseTimes = field(default_factory=LeaseTimes)
    identity: str = ""
    finalizers: bool = True
    read_only: bool = False
    verify: bool = True
    probe: Program | None = None
    health: Address | None = None
    metrics: Address | None = None
