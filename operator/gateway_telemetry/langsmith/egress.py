"""What a self-hosted LangSmith itself must reach, which no gateway needs: LangChain's licence and usage service.

https://docs.langchain.com/langsmith/self-host-egress
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import self_hosted
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.transport import Transport

HOST = "beacon.langchain.com"
NEED = (
    f"A self-hosted LangSmith without an offline licence must reach https://{HOST} (POST /v1/beacon/verify and "
    "/v1/beacon/ingest-traces) from its own namespace; gateways need no way there."
)


@dataclass(frozen=True)
class Egress:
    """Whether the service answers from here.

    Attributes:
        reached: None where nothing can be said.
        message: what was met; says nothing about other places than this one.
    """

    reached: bool
    reason: Reason
    message: str


async def look(seconds: float = 10.0) -> Egress:
    """Connect to the service without any key; an answer of any status counts."""
    destination = Destination(self_hosted(f"https://{HOST}"), ingest_key="")
    async with Transport(destination, timeout=seconds) as transport:
        try:
            await transport.request("GET", f"https://{HOST}/")
        except Failed as failure:
            return Egress(False, failure.reason, failure.message)
    return Egress(True, Reason.REACHABLE, f"https://{HOST} answers over trusted TLS.")
