"""Before anything is written: does the container leave room for the settings?

A name that stands on the container in any form (value, valueFrom, envFrom, twice) is somebody
else's. It is named, never overwritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway_telemetry.adapters import VOLUME, Adapter, EnvVar, Forbidden
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.injection import Injection, covers, same_source
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Container, Workload

EnvFromKeys = Mapping[tuple[str, str], frozenset[str] | None]
"""Names of the keys of ConfigMaps and Secrets by (kind, name); None where they may not be read."""


def pick_container(workload: Workload, wanted: str | None, adapter: Adapter) -> Container:
    """Return the container that exports.

    Raises:
        Refused: it is missing, or there are several and none is named.
    """
    names = ", ".join(item.name for item in workload.containers)
    where = f"{workload.kind} {workload.namespace}/{workload.name}"
    if wanted is not None:
        found = workload.container(wanted)
        if found is None:
            raise Refused(
                Reason.CONTAINER_NOT_FOUND,
                f"{where} has no container {wanted!r}: it has {names}; set spec.install.inject.container to one of "
                "them",
            )
        return found
    if adapter.container is not None:
        usual = workload.container(adapter.container)
        if usual is not None:
            return usual
    if len(workload.containers) == 1:
        return workload.containers[0]
    raise Refused(
        Reason.CONTAINER_AMBIGUOUS,
        f"{where} has the containers {names}: set spec.install.inject.container to the one that exports traces",
    )


def inherited(container: Container, keys: EnvFromKeys, where: str) -> dict[str, str]:
    """Return the names that envFrom gives the container, each with the object that it comes from.

    Raises:
        Refused: an object may not be read, so its names are not known.
    """
    found: dict[str, str] = {}
    for entry in container.env_from:
        prefix = entry.get("prefix") or ""
        for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            reference = entry.get(field)
            if not reference:
                continue
            name = reference.get("name") or ""
            names = keys.get((kind, name), frozenset())
            if names is None:
                raise Refused(
                    Reason.ENV_FROM_UNREADABLE,
                    f"{where} takes variables from {kind} {name} (envFrom), which the operator may not read: grant it "
                    f"get on {kind.lower()}s, so that the names of its keys can be compared",
                )
            found.update({prefix + key: f"{kind} {name}" for key in names})
    return found


def writable(variables: Sequence[EnvVar], container: Container, from_: Mapping[str, str]) -> list[EnvVar]:
    """Return the variables to write: those that give way to what is there are left out."""
    present = {item.get("name") for item in container.env} | set(from_)
    return [item for item in variables if not (item.yields and item.name in present)]


def check_container(
    container: Container,
    injection: Injection,
    ours: Iterable[Injection],
    forbidden: Sequence[Forbidden],
    from_: Mapping[str, str],
    where: str,
) -> None:
    """Refuse when the container already has a name of ours, or one that would undo what we write.

    Args:
        ours: injections that this operator wrote here; items equal to them are ours.
        from_: names that envFrom provides.

    Raises:
        Refused: with the first conflict, naming container and variable.
    """
    place = f"{where}, container {container.name}"
    counts = Counter(item.get("name") for item in container.env)
    live = {item["name"]: item for item in container.env if "name" in item}
    wanted = {item["name"]: item for item in injection.env}
    written: dict[str, list[Mapping[str, Any]]] = {}
    for one in ours:
        for item in one.env:
            written.setdefault(item["name"], []).append(item)
    _check_forbidden(live, forbidden, from_, place)
    for name, item in wanted.items():
        if counts[name] > 1:
            raise Refused(
                Reason.DUPLICATE_ENV, f"{place} lists {name} {counts[name]} times: remove all but one from its manifest"
            )
        if name in live and not same_source(live[name], item):
            if any(same_source(live[name], old) for old in written.get(name, ())):
                continue
            raise Refused(
                Reason.ENV_CONFLICT,
                f"{place} already sets {name}: remove it from the manifest or chart that sets it; nothing was written",
            )
        if name not in live and name in from_:
            raise Refused(
                Reason.ENV_CONFLICT,
                f"{place} already gets {name} from {from_[name]} (envFrom): remove it there; nothing was written",
            )


def _check_forbidden(
    live: Mapping[str, Mapping[str, Any]], forbidden: Sequence[Forbidden], from_: Mapping[str, str], place: str
) -> None:
    for rule in forbidden:
        if rule.name in live:
            item = live[rule.name]
            value = item.get("value")
            if value is None and "valueFrom" not in item:
                value = ""
            if value is not None and _harmless(rule, str(value)):
                continue
            origin = f"sets {rule.name}"
        elif rule.name in from_:
            origin = f"gets {rule.name} from {from_[rule.name]} (envFrom)"
        else:
            continue
        raise Refused(rule.reason, f"{place} {origin}, which {rule.why}: remove it there; nothing was written")


def _harmless(rule: Forbidden, value: str) -> bool:
    text = value.strip().lower()
    if text in rule.harmless:
        return True
    return bool(rule.values) and text not in rule.values


def check_mounts(workload: Workload, container: Container, injection: Injection, where: str) -> None:
    """Refuse when a volume or mount of our name or path is somebody else's.

    Raises:
        Refused: naming the volume or mount.
    """
    for wanted in injection.volumes:
        for volume in workload.volumes:
            if volume.get("name") == wanted["name"] and not _ours(volume, wanted):
                raise Refused(
                    Reason.MOUNT_CONFLICT,
                    f"{where} already has a volume named {VOLUME}: rename it in its manifest; nothing was written",
                )
    for wanted in injection.mounts:
        for mount in container.mounts:
            if mount.get("mountPath") == wanted["mountPath"] and not covers(mount, wanted):
                raise Refused(
                    Reason.MOUNT_CONFLICT,
                    f"{where}, container {container.name} already mounts something at {wanted['mountPath']}: move it; "
                    "nothing was written",
                )


def _ours(volume: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return covers(volume, wanted)
