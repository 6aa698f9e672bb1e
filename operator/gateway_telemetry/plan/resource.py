"""``install.resource``: settings put into an object that somebody else owns, and taken out of it again.

The spec names the object in its own namespace: that is the consent. What is added is known by name and remembered
in a Secret of the operator's before it is written; whatever stands under such a name and is not ours is a conflict.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gateway_telemetry.adapters import CONFIG_HASH, Context, ResourceAdapter, Settings, adapter_of
from gateway_telemetry.adapters import collector_yaml as collector
from gateway_telemetry.adapters import edits as changes
from gateway_telemetry.adapters.edits import Edit, Path, WrongShape, dotted
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.install import ResourceRef
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan import checks
from gateway_telemetry.plan.inject import context_of
from gateway_telemetry.plan.injection import Injection, render
from gateway_telemetry.plan.references import References
from gateway_telemetry.plan.resource_write import Found, ResourceWrite, packed, replaced
from gateway_telemetry.plan.store import Gateway, Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import (
    Added,
    Container,
    Record,
    digest,
)
from gateway_telemetry.plan.writes import secret_name


def resource_write(
    view: Gateway, spec: GatewayTelemetrySpec, refers: References, stamp: str, store: Store, found: Found
) -> ResourceWrite:
    """Return what the object must hold.

    Raises:
        EndpointProblem: key, project or an option cannot be carried by this gateway.
        Refused: the object is not there, not as it must be, or holds somebody else's under our names.
    """
    assert spec.install.resource is not None
    ref = spec.install.resource.ref
    where = f"{ref.kind} {view.namespace}/{ref.name}"
    record = store.records.get((view.namespace, secret_name(ref.kind, ref.name)))
    if record is not None and record.added is not None and record.added.key != (ref.key or ""):
        raise Refused(Reason.NOT_WRITTEN, f"{where}: what was put into key {record.added.key} is taken out first")
    if found.problem is not None:
        raise found.problem
    if found.obj is None:
        raise Refused(
            Reason.RESOURCE_NOT_FOUND,
            f"spec.install.resource.ref: {where} does not exist: compare it with kubectl get {ref.kind.lower()} -n "
            f"{view.namespace}",
        )
    adapter = adapter_of(spec.gateway)
    assert isinstance(adapter, ResourceAdapter)
    _check_free(found.obj, where)
    context = context_of(spec, refers, stamp, ("Deployment", view.namespace, ""))
    settings = adapter.settings(context)
    plan = _in_config_map if ref.kind == "ConfigMap" else _in_object
    try:
        write = plan(view, ref, adapter, context, settings, found.obj, record)
    except WrongShape as problem:
        key = "" if ref.key is None else f", key {ref.key}"
        raise Refused(Reason.RESOURCE_INVALID, f"{where}{key}: {problem}") from None
    if not write.repair or not found.unwritten:
        return write
    return replace(write, repair=False, added=replace(write.added, repairs=write.added.repairs - 1))


def _check_free(obj: Mapping[str, Any], where: str) -> None:
    """Refuse an object that a controller makes anew."""
    metadata = obj["metadata"]
    owner = next((item for item in metadata.get("ownerReferences") or () if item.get("controller")), None)
    if owner is None:
        return
    advice = f"change {owner.get('kind')} {owner.get('name')} instead"
    if owner.get("kind") == "OpenTelemetryCollector":
        advice = f"write install.resource.ref: {{kind: OpenTelemetryCollector, name: {owner.get('name')}}}"
    raise Refused(
        Reason.RESOURCE_GENERATED,
        f"{where} is generated from {owner.get('kind')} {owner.get('name')}, which would undo every change: {advice}",
    )


def _in_config_map(
    view: Gateway,
    ref: ResourceRef,
    adapter: ResourceAdapter,
    context: Context,
    settings: Settings,
    obj: Mapping[str, Any],
    record: Record | None,
) -> ResourceWrite:
    assert ref.key is not None
    data = obj.get("data") or {}
    where = f"ConfigMap {view.namespace}/{ref.name}"
    if ref.key not in data:
        keys = ", ".join(sorted(data)) or "none"
        raise Refused(
            Reason.RESOURCE_INVALID, f"{where} has no key {ref.key}: it has {keys}; set spec.install.resource.ref.key"
        )
    if obj.get("immutable"):
        raise Refused(Reason.RESOURCE_INVALID, f"{where} is immutable: let its chart make it without `immutable: true`")
    text = str(data[ref.key])
    wanted = adapter.edits(context, ref.kind)
    before = None if record is None else record.added
    ours = () if before is None else before.all
    tree = collector.read(text)
    _check_names(tree, wanted, ours, f"{where}, key {ref.key}")
    standing = changes.stands(tree, wanted) and not _leftovers(tree, wanted, ours)
    made = () if before is None else before.made
    if standing and before is not None:
        return _write(view, ref, obj, (), {}, wanted, made, before.after, None, record)
    bare = collector.take(text, ours or wanted, made)
    if standing:
        return _write(view, ref, obj, (), {}, wanted, (), digest({"": text}), packed(bare), record)
    # What is remembered is what stood there before the first write, unless somebody changed it since.
    untouched = before is not None and digest({"": text}) == before.after
    new, made = collector.put(bare, wanted)
    patch = replaced(("data", ref.key), text, new)
    return _write(
        view, ref, obj, patch, {}, wanted, made, digest({"": new}), None if untouched else packed(bare), record
    )


def _in_object(
    view: Gateway,
    ref: ResourceRef,
    adapter: ResourceAdapter,
    context: Context,
    settings: Settings,
    obj: Mapping[str, Any],
    record: Record | None,
) -> ResourceWrite:
    where = f"{ref.kind} {view.namespace}/{ref.name}"
    before = None if record is None else record.added
    ours = () if before is None else before.all
    place = adapter.places[ref.kind]
    tree = {"spec": changes.plain(obj.get("spec") or {})}
    bare = copy.deepcopy(tree)
    changes.take(bare, ours, () if before is None else before.made)
    variables = _list(bare, place.env)
    mounts = () if place.mounts is None else _list(bare, place.mounts)
    volumes = () if place.volumes is None else _list(bare, place.volumes)
    container = Container(place.container, variables, (), mounts)
    name = secret_name(ref.kind, ref.name)
    env = checks.writable(settings.env, container, _metrics(variables), name)
    injection = render(place.container, settings, env, name)
    # Ours without a record, as after the loss of the Secret, are no conflict: they are compared with what is wanted.
    checks.check_container(container, container, injection, adapter.forbidden(context), {}, where)
    checks.check_mounts(volumes, container, injection, where)
    wanted = _edits(adapter.edits(context, ref.kind), injection, place.env, place.mounts, place.volumes)
    _check_names(tree, wanted, ours, where)
    standing = changes.stands(tree, wanted) and not _leftovers(tree, wanted, ours)
    made = () if before is None else before.made
    patch: tuple[Mapping[str, Any], ...] = ()
    if not standing:
        made = changes.put(bare, wanted)
        if not obj.get("spec"):
            made = (("spec",), *made)
        version = obj["metadata"].get("resourceVersion")
        test = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}] if version else []
        patch = (*test, {"op": "add", "path": "/spec", "value": bare["spec"]})
    return _write(view, ref, obj, patch, settings.files, wanted, made, "", None, record)


def _edits(
    more: tuple[Edit, ...], injection: Injection, env: Path, mounts: Path | None, volumes: Path | None
) -> tuple[Edit, ...]:
    hashed = digest({"pods": injection.config_hash, "edits": json.dumps([one.to_json() for one in more])})[:16]
    items = [*injection.env, {"name": CONFIG_HASH, "value": hashed}]
    return (
        *more,
        *(changes.item(env, one) for one in items),
        *(changes.item(mounts, one, "mountPath") for one in injection.mounts if mounts is not None),
        *(changes.item(volumes, one) for one in injection.volumes if volumes is not None),
    )


def _metrics(variables: tuple[Mapping[str, Any], ...]) -> dict[str, str]:
    """Return names that count as taken: whoever sets something about metrics wants them, so they stay on."""
    about = ("OTEL_EXPORTER_OTLP_METRICS_", "OTEL_METRIC")
    names = [str(item.get("name")) for item in variables]
    wanted = any(name.startswith(about) or name == "OTEL_EXPORTER_OTLP_ENDPOINT" for name in names)
    return {"OTEL_METRICS_EXPORTER": "the object"} if wanted else {}


def _list(tree: Any, path: Path) -> tuple[Mapping[str, Any], ...]:
    value = next(iter(changes.found(tree, changes.entry(path, None))), None) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise WrongShape(f"{dotted(path)} is not a list")
    return tuple(value)


def _check_names(tree: Any, wanted: tuple[Edit, ...], ours: tuple[Edit, ...], where: str) -> None:
    taken = changes.strangers(tree, wanted, ours)
    if taken:
        raise Refused(
            Reason.RESOURCE_CONFLICT,
            f"{where} already holds {dotted(taken[0].path)}"
            + ("" if taken[0].form == "Entry" else f" with {taken[0].name}")
            + ", and not as the operator would write it: remove it there; nothing was written",
        )


def _leftovers(tree: Any, wanted: tuple[Edit, ...], ours: tuple[Edit, ...]) -> bool:
    """Tell whether something that was put in earlier is not wanted any more, and is still there."""
    kept = {edit.identity for edit in wanted}
    return any(changes.stands(tree, [edit]) for edit in ours if edit.identity not in kept)


def _write(
    view: Gateway,
    ref: ResourceRef,
    obj: Mapping[str, Any],
    patch: tuple[Mapping[str, Any], ...],
    files: Mapping[str, str],
    wanted: tuple[Edit, ...],
    made: tuple[Path, ...],
    after: str,
    original: str | None,
    record: Record | None,
) -> ResourceWrite:
    before = None if record is None else record.added
    metadata = obj["metadata"]
    repair = bool(patch) and before is not None and before.edits == wanted
    previous = () if before is None or before.edits == wanted else before.edits
    added = Added(ref.key or "", wanted, previous, made, after, 0 if before is None else before.repairs + int(repair))
    stale = (
        record is None
        or before is None
        or bool(patch)
        or before.edits != wanted
        or record.digest != digest(files)
        or record.owner != view.key
        or (view.uid != "" and record.owner_uid != view.uid)
        or record.workload_uid != (metadata.get("uid") or None)
        or record.orphan != (view.spec is not None and view.spec.deletion_policy == "Orphan")
    )
    return ResourceWrite(
        kind=ref.kind,
        namespace=view.namespace,
        name=ref.name,
        uid=metadata.get("uid") or "",
        api_version=obj.get("apiVersion") or "v1",
        secret=secret_name(ref.kind, ref.name),
        patch=patch,
        files=files,
        added=added,
        original=original if stale else None,
        record=record,
        record_stale=stale,
        repair=repair,
        managers=tuple(metadata.get("managedFields") or ()),
    )
