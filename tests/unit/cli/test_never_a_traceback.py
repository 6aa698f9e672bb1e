"""Whatever stands in a field, ``render`` ends with 0, 1 or 2, says why, and prints nothing when it ends with 2."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import objects
from tests.unit.cli.run import Object, render_objects

NS = "shop"
MARK = "marked4711"


def whole() -> list[Object]:
    """Return objects that a first run has written to, and more that planning reads."""
    hosted = {"url": "https://langsmith.example.com", "basePath": "dev"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "frontend", "namespace": NS},
        "spec": {"type": "ClusterIP", "selector": {"app": "x"}, "ports": [{"port": 443}]},
    }
    deployment = objects.deployment(NS, envFrom=[{"prefix": "X_", "configMapRef": {"name": "langsmith-ca"}}])
    deployment["metadata"].update(generation=2, uid="u", annotations={"a": "b"})
    deployment["status"] = {"observedGeneration": 2, "replicas": 1, "conditions": [{"type": "Progressing"}]}
    stateful = {**objects.deployment(NS, "stateful"), "kind": "StatefulSet"}
    stateful["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    stateful["status"] = {"observedGeneration": 1, "replicas": 1, "currentRevision": "a", "updateRevision": "b"}
    daemon = {**objects.deployment(NS, "daemon", envFrom=[{"secretRef": {"name": "traces"}}]), "kind": "DaemonSet"}
    daemon["status"] = {"observedGeneration": 1, "desiredNumberScheduled": 1, "numberAvailable": 1}
    in_stateful, in_daemon = (objects.gateway(NS, name, app=name) for name in ("stateful", "daemon"))
    in_stateful["spec"]["install"]["inject"]["workloads"]["kind"] = "StatefulSet"
    workloads = {"kind": "DaemonSet", "selector": {"matchLabels": {"app": "daemon"}}}
    in_daemon["spec"]["install"] = {"reference": {"secretName": "traces", "workloads": workloads}}
    found = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS, "labels": {"a": "b"}}},
        objects.secret(NS, key=f"lsv2_sk_{MARK}"),
        objects.ca_bundle(NS, "no certificate"),
        service,
        objects.target(NS, selfHosted=hosted, allowedNamespaces={"from": "All"}),
        objects.target(
            NS, "in-cluster", selfHosted={"serviceRef": {"name": "frontend", "port": 443, "scheme": "https"}}
        ),
        objects.gateway(NS, resourceAttributes={"team": "payments"}),
        deployment,
        stateful,
        daemon,
        in_stateful,
        in_daemon,
    ]
    ran = render_objects(found, "--show-secrets", "--allow-host", "*")
    assert ran.code == 0, ran.err
    return ran.objects()


WHOLE = whole()


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in [(*path, key), *paths(item, (*path, key))]]


PATHS = paths(WHOLE)
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**63, "", "x", " ", "a\nb", "sha256:01234567", [], [None], [[]], {}, {"a": None}, {"": 1}]
)


def changed(value: Any, changes: list[tuple[tuple[Any, ...], Any]], *, removes: bool) -> Any:
    """Return a copy with other values in some places, or without them."""
    result = copy.deepcopy(value)
    for path, new in changes:
        owner = result
        try:
            for part in path[:-1]:
                owner = owner[part]
            if removes:
                del owner[path[-1]]
            else:
                owner[path[-1]] = new
        except (KeyError, IndexError, TypeError):
            continue  # the change before this one took the place away
    return result


def check(found: list[Object]) -> None:
    ran = render_objects(found, "--allow-host", "*")
    assert ran.code in (0, 1, 2)
    assert bool(ran.out) is (ran.code != 2)
    assert ran.code == 0 or ran.err
    assert MARK not in ran.out + ran.err


@settings(max_examples=250, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=2), st.booleans())
def test_any_value_in_any_place(changes: list[tuple[tuple[Any, ...], Any]], removes: bool) -> None:
    check(changed(WHOLE, changes, removes=removes))


OWN, *_ = [index for index, obj in enumerate(WHOLE) if "record.json" in obj.get("data", {})]
RECORD = json.loads(base64.b64decode(WHOLE[OWN]["data"]["record.json"]))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(paths(RECORD)), VALUES, st.booleans())
def test_any_value_in_the_record_of_an_earlier_write(path: tuple[Any, ...], value: Any, removes: bool) -> None:
    record = changed(RECORD, [(path, value)], removes=removes)
    found = copy.deepcopy(WHOLE)
    found[OWN]["data"]["record.json"] = base64.b64encode(json.dumps(record).encode()).decode()
    check(found)
