"""Keys live in Secrets only: no repr, status, message or exception of planning shows a part of one."""

from __future__ import annotations

import base64
import copy
import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from gateway_telemetry.adapters import Context, adapter_for
from gateway_telemetry.endpoint import Headers, HostPolicy
from gateway_telemetry.plan.injection import body, merged
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.restore import claims
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.status import gateway_status, target_status
from tests.unit.plan.build import (
    CA_PEM,
    KEY,
    MARK,
    NS,
    Object,
    World,
    config_map,
    container,
    deployment,
    env,
    finding,
    gateway,
    hosted,
    one_gateway,
    only_write,
    secret,
    target,
)

NOW = "2026-01-02T00:00:00Z"
MARKS = (MARK, base64.b64encode(KEY.encode()).decode()[:20])


def told(world: World) -> Iterator[str]:
    """Yield all that leaves planning, as text; what goes into a Secret aside."""
    store = world.store
    for views in (store.targets, store.gateways, store.workloads, store.sources, store.records):
        for item in views.values():
            yield from (repr(item), str(item))
    for target_view in store.targets.values():
        result = world.resolve(target_view.name, target_view.namespace)
        yield from (repr(result), str(result))
        yield json.dumps(target_status(target_view, result, NOW))
    for view in store.gateways.values():
        plan = world.plan(view.name, view.namespace)
        yield from (repr(plan), str(plan))
        yield json.dumps(gateway_status(view, plan, NOW))
        for sink in plan.sinks:
            write = sink.write
            if write is not None:
                yield from (repr(write), repr(write.injection), str(write.files.keys()))
                live = write.workload
                yield json.dumps(body(live.kind, live.namespace, live.name, live.uid, write.injection, write.secret))
                yield json.dumps(merged(world.objects[live.key], write.injection, write.secret))
                metadata = secret_object(view, write)["metadata"]
                yield json.dumps(metadata)
        for record in store.records_of_owner(view.key):
            live = store.workloads[record.workload[0], record.namespace, record.workload[1]]
            yield json.dumps(claims(record, live))


def check(world: World) -> int:
    """Return how many texts were looked at; none of them shows a key."""
    count = 0
    for text in told(world):
        count += 1
        for mark in MARKS:
            assert mark not in text, text
    return count


def in_every_way() -> World:
    view = hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"}, credentials=TWO_KEYS)
    reader = secret({"token": f"lsv2_sk_{MARK}_reader"}, name="reader")
    return World(view, secret(), reader, config_map({"ca.crt": CA_PEM}), gateway(), deployment())


TWO_KEYS = {
    "ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}},
    "read": {"secretRef": {"name": "reader", "key": "token"}},
}


def test_nothing_that_planning_makes_shows_a_key() -> None:
    world = in_every_way()
    assert check(world) > 10
    world.carry_out()
    assert check(world) > 10
    rotated = f"lsv2_sk_{MARK}_rotated"
    world.put(secret({"api-key": rotated}))
    assert only_write(world.plan()).files["otlp-headers"].startswith(f"x-api-key={rotated},")
    assert check(world) > 10


@pytest.mark.parametrize(
    "key",
    [
        f'"lsv2_sk_{MARK}"',
        f"lsv2_sk_{MARK} x",
        f"lsv2_sk_{MARK}\nx",
        f"lsv2_sk_{MARK}\x00",
        f"lsv2_sk_{MARK}\xff",
        f"ls__{MARK}",
        base64.b64encode(f"lsv2_sk_{MARK}".encode()).decode(),
        f"{MARK}",
    ],
)
def test_no_refusal_of_a_key_shows_it(key: str) -> None:
    world = World(target(), secret({"api-key": key.encode("latin-1")}), gateway(), deployment())
    for mark in (MARK, base64.b64encode(f"lsv2_sk_{MARK}".encode()).decode()[:16]):
        assert all(mark not in text for text in told(world))


def test_no_exception_shows_a_key() -> None:
    headers = Headers(f"lsv2_sk_{MARK},x", "checkout")
    with pytest.raises(ValueError) as caught:
        headers.raw_list()
    assert MARK not in "".join(traceback.format_exception(caught.value))


def test_what_an_adapter_looks_at_and_returns_shows_no_key() -> None:
    world = one_gateway()
    resolved = world.resolve().resolved
    spec = world.store.gateways[NS, "checkout"].spec
    assert resolved is not None
    assert spec is not None
    headers = Headers(resolved.key, "checkout")
    context = Context(spec, resolved.endpoints, headers, None, "id", ("Deployment", NS, "litellm"))
    settings = adapter_for("litellm").settings(context)
    assert KEY in settings.files["otlp-headers"]
    for value in (context, headers, settings, resolved):
        assert MARK not in repr(value)
        assert MARK not in str(value)


def test_a_variable_of_the_container_that_holds_a_key_is_not_told() -> None:
    items = env(OTEL_EXPORTER_OTLP_TRACES_HEADERS=f"x-api-key={KEY}", LANGSMITH_API_KEY=KEY)
    world = one_gateway(workload=deployment(containers=[container(env=items)]))
    plan = world.plan()
    assert "already sets OTEL_EXPORTER_OTLP_TRACES_HEADERS" in finding(plan.findings, "Programmed").message
    text = json.dumps(gateway_status(world.store.gateways[NS, "checkout"], plan, NOW))
    assert MARK not in text


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all strings of a spec."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, str):
        yield path


def pasted(obj: Object, path: tuple[str, ...]) -> Object:
    """Return the object with a key in place of a string of its spec."""
    result = copy.deepcopy(obj)
    inner = result["spec"]
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = KEY
    return result


FULL_TARGET = target(
    saas=None,
    selfHosted={"url": "https://ls.shop.svc", "basePath": "langsmith"},
    credentials=TWO_KEYS,
    caBundleRef={"kind": "ConfigMap", "name": "corp-ca", "key": "ca.crt"},
    workspaceId="5f2c0a4e-0000-4000-8000-000000000001",
    allowedNamespaces={"from": "Same"},
)
BY_SERVICE = target(
    saas=None,
    selfHosted={"serviceRef": {"name": "ls", "namespace": "ls", "scheme": "https", "port": 443}},
    verification={"probeInterval": "5m", "canary": {"mode": "Off", "interval": "24h"}},
)
FULL_GATEWAY = gateway(container="litellm")
SHOWN = {("project",), ("selfHosted", "basePath")}
"""The project and the URL are what conditions are there to tell."""
PASTED = [
    pytest.param(obj, path, id=f"{obj['kind']}-{'.'.join(path)}")
    for obj in (FULL_TARGET, BY_SERVICE, FULL_GATEWAY)
    for path in leaves(obj["spec"])
    if path not in SHOWN
]


@pytest.mark.parametrize(("obj", "path"), PASTED)
def test_a_key_that_was_pasted_into_a_field_is_not_told_again(obj: Object, path: tuple[str, ...]) -> None:
    everything = Options(HostPolicy(("*",)), check_services=False)
    world = World(FULL_TARGET, secret(), FULL_GATEWAY, deployment(), options=everything)
    world.put(pasted(obj, path))
    view = world.store.targets[NS, "langsmith"]
    status = target_status(view, world.resolve(), NOW)
    assert MARK not in json.dumps(status)
    plan = world.plan()
    assert MARK not in json.dumps(gateway_status(world.store.gateways[NS, "checkout"], plan, NOW))
