"""TrueFoundry's control plane over its HTTP API: the one place outside of the cluster that the operator writes to.

It stands above ``langsmith`` for its transport: checked addresses, no redirects, bounded answers, trust.
"""

from __future__ import annotations

from gateway_telemetry.truefoundry.client import ControlPlaneClient, Trouble

__all__ = ["ControlPlaneClient", "Trouble"]
