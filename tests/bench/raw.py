"""The operator's own writes, sent without the operator: what the API server takes at the same concurrency."""

from __future__ import annotations

import asyncio
import copy
import json
import time
from pathlib import Path
from typing import Any

import aiohttp

from gateway_telemetry.api.meta import FIELD_MANAGER
from gateway_telemetry.cluster.config import load
from tests.support.kube import Kube
from tests.support.objects import Object

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"


class Template:
    """What the operator left on one object, to be written again onto others."""

    def __init__(self, kube: Kube, namespace: str, name: str) -> None:
        gateway = kube.get("gatewaytelemetry", namespace, name)
        deployment = kube.get("deployment", namespace, name)
        secret = kube.get("secret", namespace, f"gateway-telemetry-deployment-{name}")
        assert gateway is not None
        assert deployment is not None
        assert secret is not None
        self.finalizers = gateway["metadata"]["finalizers"]
        self.status = gateway["status"]
        self.secret = {key: secret[key] for key in ("apiVersion", "kind", "type", "data")}
        self.labels = secret["metadata"]["labels"]
        pod = deployment["spec"]["template"]
        container = pod["spec"]["containers"][0]
        self.apply: Object = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "template": {
                    "metadata": {"annotations": pod["metadata"]["annotations"]},
                    "spec": {"containers": [{"name": container["name"], "env": container["env"]}]},
                }
            },
        }


async def write(
    kubeconfig: Path, template: Template, namespace: str, names: list[str], extra_statuses: int, workers: int
) -> float:
    """Write all objects; return the seconds that it took.

    Args:
        extra_statuses: status patches beyond one for each object: the operator's second one, after the rollout.
    """
    connection = await load(str(kubeconfig))
    header = await connection.credentials.authorization()
    headers = {} if header is None else {"Authorization": header}
    connector = aiohttp.TCPConnector(limit=32, ssl=connection.ssl_context or True)
    pending = asyncio.Queue[tuple[int, str]]()
    for item in enumerate(names):
        pending.put_nowait(item)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def send(method: str, path: str, body: object, kind: str) -> Any:
            url = f"{connection.server}{path}?fieldManager={FIELD_MANAGER}"
            async with session.request(method, url, data=json.dumps(body), headers={"Content-Type": kind}) as answer:
                text = await answer.read()
                if answer.status >= 300:
                    raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]!r}")
                return json.loads(text)

        async def work() -> None:
            while not pending.empty():
                number, name = pending.get_nowait()
                await one(send, template, namespace, name, 2 if number < extra_statuses else 1)

        began = time.monotonic()
        await asyncio.gather(*(work() for _ in range(workers)))
        return time.monotonic() - began


async def one(send: Any, template: Template, namespace: str, name: str, statuses: int) -> None:
    """Write one object: finalizer, Secret, workload, release, status."""
    gateways = f"/apis/gatewaytelemetry.dev/v1alpha1/namespaces/{namespace}/gatewaytelemetries/{name}"
    await send("PATCH", gateways, {"metadata": {"finalizers": template.finalizers}}, MERGE)
    secret = {
        **template.secret,
        "metadata": {"name": f"gateway-telemetry-deployment-{name}", "labels": template.labels},
    }
    await send("POST", f"/api/v1/namespaces/{namespace}/secrets", secret, "application/json")
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
    body = {**template.apply, "metadata": {"name": name, "namespace": namespace}}
    live = await send("PATCH", deployments, body, APPLY)
    index = next(
        number
        for number, entry in enumerate(live["metadata"]["managedFields"])
        if entry["manager"] == FIELD_MANAGER and entry["operation"] == "Apply"
    )
    path = f"/metadata/managedFields/{index}"
    release = [
        {"op": "test", "path": f"{path}/manager", "value": FIELD_MANAGER},
        {"op": "test", "path": f"{path}/operation", "value": "Apply"},
        {"op": "remove", "path": path},
    ]
    await send("PATCH", deployments, release, PATCH)
    status = copy.deepcopy(template.status)
    for number in range(statuses):
        status["conditions"][0]["message"] = f"{number}"
        await send("PATCH", f"{gateways}/status", {"status": status}, MERGE)
