"""Proof that traces arrive: probe, canary and evidence, over LangSmith's public HTTP API.

This is the only package that speaks to LangSmith. Nothing in it raises for what the network or a server do: they
become findings with a reason of ``api/reasons/``; see docs/verification.md.
"""

from __future__ import annotations

from gateway_telemetry.langsmith.budget import Budget
from gateway_telemetry.langsmith.canary import CanaryResult, canary, switched_off
from gateway_telemetry.langsmith.destination import Destination
from gateway_telemetry.langsmith.evidence import EvidenceReader, Report, Trace, failed_read
from gateway_telemetry.langsmith.failure import Failed
from gateway_telemetry.langsmith.probe import ProbeResult, Server, probe
from gateway_telemetry.langsmith.steady import Steady
from gateway_telemetry.langsmith.transport import Transport
from gateway_telemetry.langsmith.vantage import Verdict

__all__ = [
    "Budget",
    "CanaryResult",
    "Destination",
    "EvidenceReader",
    "Failed",
    "ProbeResult",
    "Report",
    "Server",
    "Steady",
    "Trace",
    "Transport",
    "Verdict",
    "canary",
    "failed_read",
    "probe",
    "switched_off",
]
