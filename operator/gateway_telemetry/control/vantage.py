"""Runs the Jobs that look at LangSmith from gateways' namespaces, at most once per change, and reads what they saw."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Conflict, Forbidden, Invalid
from gateway_telemetry.cluster.paths import JOBS, PODS
from gateway_telemetry.control.lookups import UNWATCHED_SECONDS
from gateway_telemetry.langsmith.vantage import Verdict
from gateway_telemetry.plan import vantage
from gateway_telemetry.plan.gateways import GatewayPlan
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.vantage import Look, Program
from gateway_telemetry.plan.views import HOPELESS

logger = logging.getLogger(__name__)

LOOK_AGAIN_SECONDS = 2.0
"""How often a Job is looked at while it runs."""


class Vantage:
    """Looks from gateways' namespaces.

    Args:
        program: what runs in a Job; None where the operator may start none.
    """

    def __init__(self, client: Client, program: Program | None) -> None:
        self._client = client
        self._program = program

    async def look(self, view: Gateway, plan: GatewayPlan) -> tuple[Finding | None, str | None, float | None]:
        """Return Reachable as seen from the gateway's namespace, the hash that it holds for, and when to come back.

        The hash is None as long as there is no verdict; the pause is in seconds, None where nothing is under way.

        Raises:
            ApiError: the API server did not answer.
        """
        if not vantage.wanted(view):
            return None, None, None
        if self._program is None:
            return vantage.switched_off(), None, None
        look = vantage.look_of(view, plan, self._program)
        if look is None:
            return None, None, None
        known = vantage.remembered(view, look.hash)
        if known is not None:
            return known, look.hash, None
        try:
            found = await self._verdict(view, look)
        except Forbidden as error:
            return (
                vantage.failed(view.namespace, f"could not be run: {error.permission or error}"),
                None,
                UNWATCHED_SECONDS,
            )
        except Invalid as error:
            return vantage.failed(view.namespace, f"was refused: {error.message}"), look.hash, None
        if found is None:
            return vantage.under_way(view.namespace), None, LOOK_AGAIN_SECONDS
        return found, look.hash, None

    async def _verdict(self, view: Gateway, look: Look) -> Finding | None:
        """Return what the Job saw; None while it has seen nothing yet."""
        job = await self._client.find(JOBS, view.namespace, look.name)
        if job is None:
            try:
                await self._client.create(JOBS, view.namespace, look.job)
            except Conflict:
                return None
            logger.info("GatewayTelemetry %s/%s: Job %s looks at LangSmith", view.namespace, view.name, look.name)
            return None
        selector = f"{vantage.JOB_NAME_LABEL}={look.name}"
        pods = (await self._client.list(PODS, view.namespace, selector)).items
        message = next(_messages(pods), None)
        if message is None:
            ended = next(_hopeless(pods), None) or next(_ends(job), None)
            return None if ended is None else vantage.failed(view.namespace, f"gave no verdict ({ended})")
        try:
            verdict = Verdict.from_json(message)
        except ValueError as error:
            return vantage.failed(view.namespace, f"said nothing that can be used: {error}")
        return vantage.seen(view.namespace, verdict.reason, verdict.message, reached=verdict.reached)


def _messages(pods: list[Any]) -> Iterator[str]:
    for status in _containers(pods):
        ended = (status.get("state") or {}).get("terminated") or {}
        if ended.get("message"):
            yield str(ended["message"])


def _containers(pods: list[Any]) -> Iterator[Mapping[str, Any]]:
    for pod in pods:
        yield from (pod.get("status") or {}).get("containerStatuses") or ()


def _ends(job: Mapping[str, Any]) -> Iterator[str]:
    for item in (job.get("status") or {}).get("conditions") or ():
        if item.get("type") in ("Failed", "Complete") and item.get("status") == "True":
            yield str(item.get("reason") or item["type"])


def _hopeless(pods: list[Any]) -> Iterator[str]:
    """Yield why pods will not start."""
    for status in _containers(pods):
        waiting = (status.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            yield str(waiting["reason"])
