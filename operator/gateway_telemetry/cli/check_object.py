"""From a LangSmithTarget or GatewayTelemetry in a cluster to what ``check`` needs: URLs, keys, CA and project."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway_telemetry.adapters import adapter_of
from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.api.meta import ROLE_LABEL, ROLE_SOURCE
from gateway_telemetry.cluster import paths
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.config import load
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.langsmith import Destination
from gateway_telemetry.plan.gateways import identity
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store, Target, project_gateway, project_target, sources_of, target_key
from gateway_telemetry.plan.targets import resolve
from gateway_telemetry.plan.views import project_source

_TARGET = ("lst", "langsmithtarget", "langsmithtargets")
_GATEWAY = ("gt", "gatewaytelemetry", "gatewaytelemetries")
_SOURCES = {"Secret": paths.SECRETS, "ConfigMap": paths.CONFIG_MAPS}
REFERENCE = re.compile(rf"({'|'.join(_TARGET + _GATEWAY)})/([a-z0-9]([a-z0-9.-]*[a-z0-9])?)")


@dataclass(frozen=True)
class Found:
    """What an object in the cluster leads to.

    Attributes:
        destination: None where the object's own references do not hold; ``findings`` say why.
        project: None where neither object names one.
        stamp: value of ``gatewaytelemetry.id`` on a gateway's spans; None for a target, or where they carry none.
    """

    findings: tuple[Finding, ...]
    destination: Destination | None = None
    project: str | None = None
    stamp: str | None = None


class Unusable(Exception):
    """An object that is not there or not valid; the text says which."""


async def find(
    reference: str, namespace: str, kubeconfig: str | None, context: str | None, cluster_name: str = ""
) -> Found:
    """Return what ``lst/NAME`` or ``gt/NAME`` leads to, read with the rights of whoever runs this.

    Raises:
        Unusable: the object does not exist or breaks a rule of its kind.
        ClusterError: the cluster cannot be reached, or refuses.
    """
    kind, _, name = reference.partition("/")
    async with Client(await load(kubeconfig, context)) as client:
        if kind in _TARGET:
            return await _target(client, namespace, name, None)
        view = project_gateway(await _get(client, paths.GATEWAY_TELEMETRIES, namespace, name))
        if view.spec is None:
            raise Unusable(f"GatewayTelemetry {namespace}/{name}: {view.reason}: {view.problem}")
        where, target = target_key(view)
        found = await _target(client, where, target, view.spec.project)
        stamped = adapter_of(view.spec.gateway).evidence == "Resource"
        return replace(found, stamp=identity(view, Options(cluster_name=cluster_name)) if stamped else None)


async def _target(client: Client, namespace: str, name: str, project: str | None) -> Found:
    view = project_target(await _get(client, paths.LANGSMITH_TARGETS, namespace, name))
    store = Store()
    store.put_target(view)
    for kind, where, source in sources_of(view):
        found = await client.find(_SOURCES[kind], where, source)
        # As the operator sees it: what lacks the label is not there.
        if found is not None and (found["metadata"].get("labels") or {}).get(ROLE_LABEL) == ROLE_SOURCE:
            store.sources[kind, where, source] = project_source({**found, "kind": kind})
    # Whoever runs this names the host by naming the target; the operator's own allow-list is not known here.
    options = Options(hosts=HostPolicy(("*",), insecure_allow_loopback=True))
    result = resolve(view, store, options, await _service(client, view))
    findings = tuple(item for item in result.findings if item.type in ("Accepted", "ResolvedRefs"))
    if result.resolved is None or view.spec is None:
        return Found(findings)
    destination = Destination(
        result.resolved.endpoints,
        result.resolved.key,
        result.resolved.read_key,
        result.resolved.ca_pem,
        view.spec.workspace_id,
    )
    return Found(findings, destination, project or view.spec.project)


async def _service(client: Client, view: Target) -> Mapping[str, Any] | None:
    hosted = view.spec.self_hosted if view.spec is not None else None
    if hosted is None or hosted.service_ref is None:
        return None
    reference = hosted.service_ref
    return await client.find(paths.SERVICES, reference.namespace or view.namespace, reference.name)


async def _get(client: Client, resource: paths.Resource, namespace: str, name: str) -> Mapping[str, Any]:
    found = await client.find(resource, namespace, name)
    if found is None:
        raise Unusable(f"{resource.kind} {namespace}/{name} does not exist: check its name, -n and --context")
    return found
