"""Reads and writes of objects of ``install.resource``: one GET for each plan, one JSON patch for each change.

Their lists are atomic to server-side apply, so adding to one would mean to own all of it. A patch tests that the
object still is as it was planned for, and our entry in ``metadata.managedFields`` is taken out afterwards, as for
workloads: whoever owns the object goes on as if we had not been there.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from gateway_telemetry.adapters.edits import WrongShape
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.cluster import ownership
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Forbidden, Invalid, NotFound
from gateway_telemetry.cluster.paths import CONFIGURED, GATEWAY_CONFIGS, PODS, SECRETS, Resource
from gateway_telemetry.plan.resource_write import Found, ResourceWrite, unpacked, withdrawal
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import ORIGINAL_KEY, Record

logger = logging.getLogger(__name__)

ENVOY_PODS = "app.kubernetes.io/managed-by=envoy-gateway,app.kubernetes.io/component=proxy"
"""Labels of Envoy's pods, of one Gateway or of merged ones (Envoy Gateway, internal/infrastructure/kubernetes)."""
VALUES = {
    "ConfigMap": "configMaps",
    "OpenTelemetryCollector": "openTelemetryCollectors",
    "GatewayConfig": "gatewayConfigs",
    "AgentgatewayParameters": "agentgatewayParameters",
}
"""Values of the chart, below ``writes``, that grant the rights for a kind."""


async def read(client: Client, view: Gateway) -> Found:
    """Return the object that a gateway names; nothing for other ways.

    Raises:
        ApiError: the API server did not answer.
    """
    if view.spec is None or view.spec.install.resource is None:
        return Found()
    ref = view.spec.install.resource.ref
    resource = CONFIGURED[ref.kind]
    try:
        found = await client.get(resource, view.namespace, ref.name)
        note = await _pods_elsewhere(client, view.namespace) if resource == GATEWAY_CONFIGS else ""
        return Found(found, note=note)
    except NotFound as error:
        return Found() if error.details.get("name") else Found(problem=_unknown_kind(resource))
    except Forbidden as error:
        return Found(problem=_denied(resource, error))


async def _pods_elsewhere(client: Client, namespace: str) -> str:
    """Return what to look at if no Envoy runs in a namespace: a pod reads Secrets of its own namespace only."""
    if (await client.list(PODS, namespace, ENVOY_PODS)).items:
        return ""
    return (
        f"no pod of Envoy Gateway runs in namespace {namespace}, and those of other namespaces cannot read the key: "
        "let Envoy Gateway run them here (deploy.type: GatewayNamespace)"
    )


def _unknown_kind(resource: Resource) -> Refused:
    return Refused(
        Reason.RESOURCE_NOT_FOUND,
        f"spec.install.resource.ref: the cluster knows no {resource.plural} of {resource.api_version}: install the "
        "CustomResourceDefinitions of the gateway, in a version that serves it",
    )


def _denied(resource: Resource, error: Forbidden) -> Refused:
    permission = error.permission or f"{resource.plural}: {error.message}"
    return Refused(
        Reason.RBAC_DENIED,
        f"the operator's ServiceAccount lacks the permission: {permission}; set the chart's value "
        f"writes.{VALUES[resource.kind]}: true",
    )


async def write(client: Client, wanted: ResourceWrite) -> None:
    """Change the object, and leave no claim behind.

    Raises:
        Refused: it changed meanwhile, or the API server refused it.
    """
    resource = CONFIGURED[wanted.kind]
    try:
        if wanted.patch:
            await _patch(client, resource, wanted.namespace, wanted.name, list(wanted.patch), wanted.managers)
        elif wanted.claimed:
            live = await client.get(resource, wanted.namespace, wanted.name)
            await ownership.release(client, resource, wanted.namespace, wanted.name, live, operation="Update")
    except Forbidden as error:
        raise _denied(resource, error) from None
    if wanted.patch:
        logger.info("wrote settings into %s %s/%s", wanted.kind, wanted.namespace, wanted.name)


async def _patch(
    client: Client,
    resource: Resource,
    namespace: str,
    name: str,
    patch: list[Any],
    managers: Sequence[Mapping[str, Any]],
) -> None:
    try:
        live = await client.json_patch(resource, namespace, name, patch)
    except Invalid as error:
        if error.fields:
            raise  # the API server names what breaks a rule of the kind
        if "denied request" in error.message:
            raise Refused(
                Reason.RBAC_DENIED,
                f"{error.message}; if that is the chart's own policy, set its value "
                f"writes.{VALUES[resource.kind]}: true",
            ) from None
        # A failed test: somebody was faster. The next plan is made of what they wrote.
        raise Refused(
            Reason.WRITE_FAILED,
            f"{resource.kind} {namespace}/{name} changed while it was being written: it is tried again",
        ) from None
    await ownership.release(client, resource, namespace, name, live, operation="Update", former=managers)


async def restore(client: Client, record: Record) -> None:
    """Take out of an object what a record remembers; one that is gone, or was made anew, has nothing of ours.

    Raises:
        Refused: the object cannot be read any more, or changed meanwhile.
        ApiError: the API server did not let us.
    """
    kind, name = record.workload
    resource = CONFIGURED[kind]
    try:
        live = await client.get(resource, record.namespace, name)
    except NotFound:
        return
    except Forbidden as error:
        raise _denied(resource, error) from None
    if record.workload_uid not in (None, live["metadata"]["uid"]):
        return
    try:
        patch = withdrawal(record, live, await _original(client, record))
    except WrongShape as problem:
        raise Refused(
            Reason.RESOURCE_INVALID,
            f"{kind} {record.namespace}/{name}: what was put in cannot be taken out, since {problem}; correct it, or "
            "take it out by hand",
        ) from None
    try:
        if patch:
            managers = live["metadata"].get("managedFields") or ()
            await _patch(client, resource, record.namespace, name, list(patch), managers)
        else:
            await ownership.release(client, resource, record.namespace, name, live, operation="Update")
    except Forbidden as error:
        raise _denied(resource, error) from None


async def _original(client: Client, record: Record) -> str | None:
    found = await client.find(SECRETS, record.namespace, record.name)
    text = ((found or {}).get("data") or {}).get(ORIGINAL_KEY)
    try:
        return None if text is None else unpacked(base64.b64decode(text).decode())
    except ValueError:
        return None
