"""The indexes answer as a search through everything would, after any sequence of changes."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway_telemetry.plan.injection import Injection
from gateway_telemetry.plan.store import (
    Gateway,
    Store,
    Target,
    project_gateway,
    project_target,
    selector_of,
    target_key,
)
from gateway_telemetry.plan.views import Record, Workload, project_workload
from tests.unit.plan.build import deployment, gateway, target

NAMESPACES = st.sampled_from(["a", "b"])
NAMES = st.sampled_from(["x", "y", "z"])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["1", "2", ""]))
KEYS = st.sampled_from(["app", "tier"])
EXPRESSIONS = st.one_of(
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.just(["1"])}),
    st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])}),
)
SELECTORS = st.fixed_dictionaries(
    {"matchLabels": LABELS, "matchExpressions": st.lists(EXPRESSIONS, max_size=2)},
).filter(lambda item: bool(item["matchLabels"] or item["matchExpressions"]))
SOURCES = st.sampled_from(["s", "t"])
EMPTY = Injection("c", (), (), (), "")


class Indexes(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.gateways: dict[tuple[str, str], Gateway] = {}
        self.workloads: dict[tuple[str, str], Workload] = {}
        self.targets: dict[tuple[str, str], Target] = {}
        self.records: dict[tuple[str, str], Record] = {}

    @rule(
        namespace=NAMESPACES,
        name=NAMES,
        selector=SELECTORS,
        to=st.fixed_dictionaries({"name": SOURCES}, optional={"namespace": NAMESPACES}),
        created=st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        broken=st.booleans(),
    )
    def put_gateway(
        self, namespace: str, name: str, selector: dict[str, Any], to: dict[str, str], created: str, broken: bool
    ) -> None:
        obj = gateway(name, namespace, selector=selector, targetRef=to, created=created, project=7 if broken else None)
        view = self.gateways[namespace, name] = project_gateway(obj)
        self.store.put_gateway(view)

    @rule(namespace=NAMESPACES, name=NAMES)
    def drop_gateway(self, namespace: str, name: str) -> None:
        self.gateways.pop((namespace, name), None)
        self.store.drop_gateway((namespace, name))

    @rule(namespace=NAMESPACES, name=NAMES, labels=LABELS)
    def put_workload(self, namespace: str, name: str, labels: dict[str, str]) -> None:
        obj = deployment(name, namespace)
        obj["metadata"]["labels"] = labels
        view = self.workloads[namespace, name] = project_workload(obj)
        self.store.put_workload(view)

    @rule(namespace=NAMESPACES, name=NAMES)
    def drop_workload(self, namespace: str, name: str) -> None:
        self.workloads.pop((namespace, name), None)
        self.store.drop_workload(("Deployment", namespace, name))

    @rule(namespace=NAMESPACES, name=SOURCES, ingest=SOURCES, read=SOURCES, ca=st.sampled_from(["ConfigMap", "Secret"]))
    def put_target(self, namespace: str, name: str, ingest: str, read: str, ca: str) -> None:
        credentials = {
            which: {"secretRef": {"name": source, "key": "k"}} for which, source in (("ingest", ingest), ("read", read))
        }
        obj = target(name, namespace, credentials=credentials, caBundleRef={"kind": ca, "name": ingest})
        view = self.targets[namespace, name] = project_target(obj)
        self.store.put_target(view)

    @rule(namespace=NAMESPACES, name=SOURCES)
    def drop_target(self, namespace: str, name: str) -> None:
        self.targets.pop((namespace, name), None)
        self.store.drop_target((namespace, name))

    @rule(namespace=NAMESPACES, name=NAMES, owner=NAMES)
    def put_record(self, namespace: str, name: str, owner: str) -> None:
        view = Record(
            namespace=namespace,
            name=name,
            owner=(namespace, owner),
            owner_uid=None,
            workload=("Deployment", name),
            workload_uid=None,
            injection=EMPTY,
            previous=None,
            digest="",
            orphan=False,
        )
        self.records[namespace, name] = view
        self.store.put_record(view)

    @rule(namespace=NAMESPACES, name=NAMES)
    def drop_record(self, namespace: str, name: str) -> None:
        self.records.pop((namespace, name), None)
        self.store.drop_record((namespace, name))

    @invariant()
    def a_workload_finds_its_gateways_oldest_first(self) -> None:
        for workload in self.workloads.values():
            expected = [view for view in self.gateways.values() if _matches(view, workload)]
            expected.sort(key=lambda view: (view.created, view.namespace, view.name))
            assert self.store.gateways_matching(workload) == expected

    @invariant()
    def a_gateway_finds_its_workloads_by_name(self) -> None:
        for view in self.gateways.values():
            expected = [item for _, item in sorted(self.workloads.items()) if _matches(view, item)]
            assert self.store.workloads_matching(view) == expected

    @invariant()
    def a_target_finds_its_gateways(self) -> None:
        for namespace in ("a", "b"):
            for name in ("s", "t"):
                key = namespace, name
                expected = sorted(view.key for view in self.gateways.values() if view.spec and target_key(view) == key)
                assert self.store.gateways_of_target(key) == expected

    @invariant()
    def a_source_finds_its_targets(self) -> None:
        for kind in ("Secret", "ConfigMap"):
            for namespace in ("a", "b"):
                for name in ("s", "t"):
                    expected = sorted(
                        view.key for view in self.targets.values() if (kind, namespace, name) in _sources(view)
                    )
                    assert self.store.targets_of_source(kind, namespace, name) == expected

    @invariant()
    def an_owner_finds_its_records(self) -> None:
        for namespace in ("a", "b"):
            for name in ("x", "y", "z"):
                expected = [item for _, item in sorted(self.records.items()) if item.owner == (namespace, name)]
                assert self.store.records_of_owner((namespace, name)) == expected


def _matches(view: Gateway, workload: Workload) -> bool:
    if view.spec is None or view.namespace != workload.namespace:
        return False
    return selector_of(view).matches(dict(workload.labels))


def _sources(view: Target) -> set[tuple[str, str, str]]:
    spec = view.spec
    assert spec is not None
    assert spec.credentials is not None
    assert spec.credentials.read is not None
    assert spec.ca_bundle_ref is not None
    return {
        ("Secret", view.namespace, spec.credentials.ingest.secret_ref.name),
        ("Secret", view.namespace, spec.credentials.read.secret_ref.name),
        (spec.ca_bundle_ref.kind, view.namespace, spec.ca_bundle_ref.name),
    }


TestIndexes = Indexes.TestCase
TestIndexes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None, derandomize=True)
