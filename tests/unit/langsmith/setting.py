"""A stand-in, a destination that leads to it, and what is asked of the package under test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.endpoint import Endpoints, self_hosted
from gateway_telemetry.langsmith import CanaryResult, Destination, ProbeResult, Server, Transport, canary, probe
from tests.support.langsmith import CertificateAuthority, Key, StandIn

KEY = "lsv2_sk_marked_ingest_7d1f"
READ_KEY = "lsv2_sk_marked_read_93ab"
WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
OTHER = "5f2c7a3e-0000-4000-8000-000000000002"
PROJECT = "checkout"
KEYS: dict[str, Key | str] = {
    KEY: WORKSPACE,
    READ_KEY: WORKSPACE,
    "lsv2_sk_other": OTHER,
    "lsv2_sk_org": Key((WORKSPACE, OTHER), scope="org"),
    "lsv2_pt_personal": Key((OTHER, WORKSPACE), scope="personal"),
    "lsv2_sk_revoked": Key(state="revoked"),
    "lsv2_sk_foreign": Key(state="foreign"),
    "lsv2_sk_legacy": Key(state="legacy"),
    "lsv2_sk_invalid": Key(state="invalid"),
    "lsv2_sk_ingest": Key((WORKSPACE,), permissions=frozenset({"ingest"})),
    "lsv2_sk_readonly": Key((WORKSPACE,), permissions=frozenset({"read"})),
}


def endpoints(url: str) -> Endpoints:
    return self_hosted(url, allow_plaintext=True)


def destination(
    url: str,
    *,
    ca: CertificateAuthority | None = None,
    key: str = KEY,
    read_key: str | None = READ_KEY,
    workspace_id: str | None = WORKSPACE,
) -> Destination:
    return Destination(endpoints(url), key, read_key, ca.bundle.read_text() if ca else None, workspace_id)


@dataclass
class Resolver:
    """Answers names from a table: one list of addresses after the other, the last for ever."""

    answers: list[Sequence[str]]
    calls: int = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.calls += 1
        return self.answers[min(self.calls, len(self.answers)) - 1]


async def probed(to: Destination, **options: Any) -> ProbeResult:
    async with Transport(to, **{"allow_loopback": True, "timeout": 5.0, **options}) as transport:
        return await probe(transport)


async def sent(
    to: Destination, *, project: str = PROJECT, patience: float = 5.0, server: Server | None = None, **options: Any
) -> CanaryResult:
    async with Transport(to, **{"allow_loopback": True, "timeout": 5.0, **options}) as transport:
        return await canary(transport, project, patience=patience, server=server)


def short(finding: Finding | None) -> tuple[str, str, str]:
    assert finding is not None
    return finding.type, finding.status, str(finding.reason)


def stand_in(**options: Any) -> StandIn:
    return StandIn(keys=KEYS, **options)
