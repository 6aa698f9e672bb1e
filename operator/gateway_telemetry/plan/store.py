"""What is known of the cluster, indexed by what planning asks for.

Fed by watch events and lists in the operator, by files in ``render``. Deleted objects leave
through ``replace_all`` as well, so a watch that missed a deletion is healed by the next list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.meta import GROUP, LabelSelector
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.api.rules import Model
from gateway_telemetry.api.target import LangSmithTargetSpec
from gateway_telemetry.endpoint import EndpointProblem, control_plane, normalise_base_path, self_hosted
from gateway_telemetry.plan.rollout import in_progress
from gateway_telemetry.plan.tenant_record import TenantKey, TenantRecord
from gateway_telemetry.plan.views import CaCopy, Key, Record, Source, Workload, compact

Spec = TypeVar("Spec", bound=Model)


@dataclass(frozen=True, slots=True)
class Custom(Generic[Spec]):
    """One of the two kinds.

    Attributes:
        spec: the parsed spec, or None if it breaks a rule.
        problem: which field breaks which rule, if spec is None.
        status: as stored.
        reason: what kind of problem it is.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    created: str
    deleting: bool
    finalizers: tuple[str, ...]
    annotations: Mapping[str, str]
    spec: Spec | None
    problem: str
    status: Mapping[str, Any] = field(hash=False)
    reason: Reason = Reason.INVALID_SPEC

    @property
    def key(self) -> Key:
        """Return namespace and name."""
        return self.namespace, self.name

    @property
    def age(self) -> tuple[str, str, str]:
        """Return what decides between equals: the oldest wins, then namespace and name (GEP-713)."""
        return self.created or "9999", self.namespace, self.name


Target = Custom[LangSmithTargetSpec]
Gateway = Custom[GatewayTelemetrySpec]


def project_target(obj: Mapping[str, Any]) -> Target:
    """Return the view of a LangSmithTarget."""
    view = _project(obj, LangSmithTargetSpec)
    return view if view.spec is not None else replace(view, reason=_reason(obj.get("spec") or {}))


def _reason(spec: Mapping[str, Any]) -> Reason:
    """Return what is wrong with the URL of a refused spec: `render` meets what an API server never stores."""
    hosted = spec.get("selfHosted")
    consent = spec.get("allowPlaintext") is True
    if not isinstance(hosted, Mapping):
        return Reason.INVALID_SPEC
    url, base_path, service = hosted.get("url"), hosted.get("basePath"), hosted.get("serviceRef")
    if isinstance(service, Mapping) and service.get("scheme") == "http" and not consent:
        return Reason.INSECURE_SCHEME
    try:
        if isinstance(base_path, str):
            normalise_base_path(base_path)
        if isinstance(url, str):
            self_hosted(url, allow_plaintext=consent)
    except EndpointProblem as problem:
        return Reason(problem.reason)
    return Reason.INVALID_SPEC


def project_gateway(obj: Mapping[str, Any]) -> Gateway:
    """Return the view of a GatewayTelemetry."""
    return _project(obj, GatewayTelemetrySpec)


def _project(obj: Mapping[str, Any], model: type[Spec]) -> Custom[Spec]:
    metadata = obj["metadata"]
    spec: Spec | None = None
    problem = ""
    try:
        spec = model.model_validate(compact(obj.get("spec") or {}))
    except ValidationError as error:
        problem = describe(error)
    # kubectl's last-applied-configuration is as large as the object.
    kept = {key: text for key, text in (metadata.get("annotations") or {}).items() if key.startswith(f"{GROUP}/")}
    return Custom(
        namespace=metadata.get("namespace") or "default",
        name=metadata["name"],
        uid=metadata.get("uid") or "",
        generation=metadata.get("generation") or 0,
        created=metadata.get("creationTimestamp") or "",
        deleting="deletionTimestamp" in metadata,
        finalizers=tuple(metadata.get("finalizers") or ()),
        annotations=kept,
        spec=spec,
        problem=problem,
        status=compact(obj.get("status") or {}),
    )


def describe(error: ValidationError) -> str:
    """Return the problems as ``spec.field: what is wrong``; never the input, it may be a pasted key."""
    parts = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        path = ".".join(["spec", *(str(part) for part in item["loc"])])
        parts.append(f"{path}: {item['msg'].removeprefix('Value error, ')}")
    return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Lost:
    """What the operator wrote and somebody deleted.

    Attributes:
        view: as it was last.
        at: when that was noticed.
        exact: whether it was noticed at once; not if it was missing in a list.
    """

    view: Record | CaCopy
    at: datetime
    exact: bool


class Store:
    """Views by kind and key, with the indexes that make a change cheap to follow."""

    def __init__(self) -> None:
        self.targets: dict[Key, Target] = {}
        self.gateways: dict[Key, Gateway] = {}
        self.workloads: dict[tuple[str, str, str], Workload] = {}
        self.sources: dict[tuple[str, str, str], Source] = {}
        self.records: dict[Key, Record] = {}
        self.ca_copies: dict[Key, CaCopy] = {}
        self.lost: dict[tuple[str, str, str], Lost] = {}
        """By kind, namespace and name: what is not there again yet."""
        self.tenant_records: dict[Key, TenantRecord] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.rolling: set[tuple[str, str, str]] = set()
        """Workloads with settings of ours whose pods are being replaced."""
        self._gateways_by_target: dict[Key, set[Key]] = defaultdict(set)
        self._gateways_by_reference: dict[Key, set[Key]] = defaultdict(set)
        self._gateways_by_label: dict[tuple[str, str, str], set[Key]] = defaultdict(set)
        self._workloads_by_label: dict[tuple[str, str, str], set[tuple[str, str, str]]] = defaultdict(set)
        self._gateways_by_tenant: dict[TenantKey, set[Key]] = defaultdict(set)
        self._records_by_owner: dict[Key, set[Key]] = defaultdict(set)
        self._targets_by_source: dict[tuple[str, str, str], set[Key]] = defaultdict(set)

    def put_target(self, view: Target) -> None:
        """Store or replace a target."""
        self.drop_target(view.key)
        self.targets[view.key] = view
        for source in sources_of(view):
            self._targets_by_source[source].add(view.key)

    def drop_target(self, key: Key) -> None:
        """Forget a target."""
        old = self.targets.pop(key, None)
        if old is not None:
            for source in sources_of(old):
                _discard(self._targets_by_source, source, key)

    def put_gateway(self, view: Gateway) -> None:
        """Store or replace a gateway."""
        self.drop_gateway(view.key)
        self.gateways[view.key] = view
        if view.spec is not None:
            self._gateways_by_target[target_key(view)].add(view.key)
            if view.spec.install.reference is not None:
                self._gateways_by_reference[view.namespace, view.spec.install.reference.secret_name].add(view.key)
            if (resource := view.spec.install.resource) is not None:
                self._gateways_by_reference[view.namespace, f"{resource.ref.kind}/{resource.ref.name}"].add(view.key)
            if (tenant := tenant_of(view)) is not None:
                self._gateways_by_tenant[tenant].add(view.key)
            for bucket in _buckets_of(view):
                self._gateways_by_label[bucket].add(view.key)

    def drop_gateway(self, key: Key) -> None:
        """Forget a gateway."""
        old = self.gateways.pop(key, None)
        if old is not None and old.spec is not None:
            _discard(self._gateways_by_target, target_key(old), key)
            if old.spec.install.reference is not None:
                _discard(self._gateways_by_reference, (old.namespace, old.spec.install.reference.secret_name), key)
            if (resource := old.spec.install.resource) is not None:
                named = (old.namespace, f"{resource.ref.kind}/{resource.ref.name}")
                _discard(self._gateways_by_reference, named, key)
            if (tenant := tenant_of(old)) is not None:
                _discard(self._gateways_by_tenant, tenant, key)
            for bucket in _buckets_of(old):
                _discard(self._gateways_by_label, bucket, key)

    def put_workload(self, view: Workload) -> None:
        """Store or replace a workload."""
        self.drop_workload(view.key)
        self.workloads[view.key] = view
        if in_progress(view):
            self.rolling.add(view.key)
        for bucket in _label_buckets(view.namespace, view.labels):
            self._workloads_by_label[bucket].add(view.key)

    def drop_workload(self, key: tuple[str, str, str]) -> None:
        """Forget a workload."""
        old = self.workloads.pop(key, None)
        self.rolling.discard(key)
        if old is not None:
            for bucket in _label_buckets(old.namespace, old.labels):
                _discard(self._workloads_by_label, bucket, key)

    def put_record(self, view: Record) -> None:
        """Store or replace a record."""
        self.drop_record((view.namespace, view.name))
        self.records[view.namespace, view.name] = view
        self._records_by_owner[view.owner].add((view.namespace, view.name))

    def drop_record(self, key: Key) -> None:
        """Forget a record."""
        old = self.records.pop(key, None)
        if old is not None:
            _discard(self._records_by_owner, old.owner, key)

    def lost_record(self, namespace: str, name: str, owner: Key) -> Record | None:
        """Return what a Secret held that somebody deleted, if it was written for this gateway."""
        lost = self.lost.get(("Secret", namespace, name))
        return lost.view if lost is not None and isinstance(lost.view, Record) and lost.view.owner == owner else None

    def gateways_of_target(self, key: Key) -> list[Key]:
        """Return the gateways that refer to a target."""
        return sorted(self._gateways_by_target.get(key, ()))

    def targets_of_source(self, kind: str, namespace: str, name: str) -> list[Key]:
        """Return the targets that refer to a Secret or ConfigMap."""
        return sorted(self._targets_by_source.get((kind, namespace, name), ()))

    def records_of_owner(self, key: Key) -> list[Record]:
        """Return the records written for a gateway."""
        return [self.records[item] for item in sorted(self._records_by_owner.get(key, ()))]

    def gateways_matching(self, workload: Workload) -> list[Gateway]:
        """Return the gateways whose selector matches a workload, oldest first."""
        keys: set[Key] = set()
        for bucket in _label_buckets(workload.namespace, workload.labels):
            keys |= self._gateways_by_label.get(bucket, set())
        found = [self.gateways[key] for key in keys]
        return sorted(
            (view for view in found if selects(view, workload)),
            key=lambda view: view.age,
        )

    def gateways_referring(self, namespace: str, secret: str) -> list[Key]:
        """Return the gateways of a namespace whose ``install.reference`` names a Secret.

        Those whose ``install.resource`` names an object are found by ``Kind/name``.
        """
        return sorted(self._gateways_by_reference.get((namespace, secret), ()))

    def gateways_of_tenant(self, tenant: TenantKey) -> list[Gateway]:
        """Return the gateways that name a tenant of a control plane, oldest first."""
        found = [self.gateways[key] for key in self._gateways_by_tenant.get(tenant, ())]
        return sorted(found, key=lambda view: view.age)

    def gateways_of_source(self, kind: str, namespace: str, name: str) -> list[Key]:
        """Return the gateways whose control plane's key or CA is in a Secret or ConfigMap."""
        keys = {key for found in self._gateways_by_tenant.values() for key in found if key[0] == namespace}
        return sorted(key for key in keys if (kind, name) in _tenant_sources(self.gateways[key]))

    def tenant_records_of_owner(self, key: Key) -> list[TenantRecord]:
        """Return the records of control planes that were written for a gateway."""
        return [item for _, item in sorted(self.tenant_records.items()) if item.owner == key]

    def workloads_matching(self, view: Gateway) -> list[Workload]:
        """Return the workloads that a gateway's selector matches, by kind and name."""
        if view.spec is None:
            return []
        keys: set[tuple[str, str, str]] | None = None
        for bucket in _buckets_of(view):
            found = self._workloads_by_label.get(bucket, set())
            keys = found if keys is None else keys & found
        return [self.workloads[key] for key in sorted(keys or ()) if selects(view, self.workloads[key])]


def _discard(index: dict[Any, set[Any]], bucket: Any, key: Any) -> None:
    """Take a key out of an index, which keeps no empty sets."""
    found = index.get(bucket)
    if found is not None:
        found.discard(key)
        if not found:
            del index[bucket]


def selector_of(view: Gateway) -> LabelSelector:
    """Return the workload selector of a gateway with a valid spec and a way that has one."""
    assert view.spec is not None
    assert view.spec.install.workloads is not None
    return view.spec.install.workloads.selector


def selects(view: Gateway, workload: Workload) -> bool:
    """Tell whether a gateway with a valid spec is about a workload of its namespace."""
    assert view.spec is not None
    wanted = view.spec.install.workloads
    return wanted is not None and wanted.kind == workload.kind and wanted.selector.matches(dict(workload.labels))


def tenant_of(view: Gateway) -> TenantKey | None:
    """Return the control plane and tenant that a gateway with a valid spec names; None for other ways and bad URLs."""
    assert view.spec is not None
    way = view.spec.install.control_plane
    if way is None:
        return None
    try:
        return control_plane(way.url).api.removeprefix("https://"), way.tenant
    except EndpointProblem:
        return None


def _tenant_sources(view: Gateway) -> list[tuple[str, str]]:
    assert view.spec is not None
    way = view.spec.install.control_plane
    assert way is not None
    ca = way.ca_bundle_ref
    return [("Secret", way.secret_ref.name), *([] if ca is None else [(ca.kind, ca.name)])]


def target_key(view: Gateway) -> Key:
    """Return namespace and name of the target that a gateway with a valid spec refers to."""
    assert view.spec is not None
    return view.spec.target_ref.namespace or view.namespace, view.spec.target_ref.name


def sources_of(view: Target) -> Iterable[tuple[str, str, str]]:
    """Yield kind, namespace and name of the Secrets and ConfigMaps that a target refers to."""
    if view.spec is None:
        return
    if view.spec.credentials is not None:
        yield "Secret", view.namespace, view.spec.credentials.ingest.secret_ref.name
        if view.spec.credentials.read is not None:
            yield "Secret", view.namespace, view.spec.credentials.read.secret_ref.name
    if view.spec.ca_bundle_ref is not None:
        yield view.spec.ca_bundle_ref.kind, view.namespace, view.spec.ca_bundle_ref.name


def _label_buckets(namespace: str, labels: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    yield namespace, "", ""
    for key, value in labels.items():
        yield namespace, key, value


def _buckets_of(view: Gateway) -> Iterable[tuple[str, str, str]]:
    """Yield the bucket of a gateway with a valid spec; none where its way has no workloads."""
    assert view.spec is not None
    workloads = view.spec.install.workloads
    return () if workloads is None else _buckets(view.namespace, workloads.selector)


def _buckets(namespace: str, selector: LabelSelector) -> Iterable[tuple[str, str, str]]:
    """Yield one bucket that holds all matches: the first label, or the namespace when there is none."""
    for key, value in (selector.match_labels or {}).items():
        yield namespace, key, value
        return
    yield namespace, "", ""
