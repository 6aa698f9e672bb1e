"""Before anything is written: does the container leave room for the settings?

A name that stands on the container in any form (value, valueFrom, envFrom, twice) is somebody
else's. It is named, never overwritten.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from gateway_telemetry.adapters import VOLUME, Adapter, EnvVar, Forbidden
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.injection import Injection, covers, env_item, same_source
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Container, Workload

EnvFromKeys = Mapping[tuple[str, str], frozenset[str] | None]
"""Names of the keys of ConfigMaps and Secrets by (kind, name); None where they may not be read."""


def pick_container(workload: Workload, wanted: str | None, adapter: Adapter, way: str = "inject") -> Container:
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
                f"{where} has no container {wanted!r}: it has {names}; set spec.install.{way}.container to one of them",
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
        f"{where} has the containers {names}: set spec.install.{way}.container to the one that exports traces",
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


def writable(variables: Sequence[EnvVar], container: Container, from_: Mapping[str, str], secret: str) -> list[EnvVar]:
    """Return the variables to write: those that give way to what is there are left out.

    What equals ours is ours, also when nothing remembers that it was written: leaving it out would change the hash.

    Args:
        secret: name of the operator's Secret beside the workload.
    """
    present = {
        variable.name
        for variable in variables
        for item in container.env
        if item.get("name") == variable.name and not same_source(item, env_item(variable, secret))
    } | set(from_)
    return [item for item in variables if not (item.yields and item.name in present)]


def check_container(
    container: Container,
    foreign: Container,
    injection: Injection,
    forbidden: Sequence[Forbidden],
    from_: Mapping[str, str],
    where: str,
) -> None:
    """Refuse when the container already has a name of ours, or one that would undo what we write.

    Args:
        container: as it stands.
        foreign: the same without what this operator wrote there.
        from_: names that envFrom provides.

    Raises:
        Refused: with the first conflict, naming container and variable.
    """
    place = f"{where}, container {container.name}"
    counts = Counter(item.get("name") for item in container.env)
    live = {item["name"]: item for item in foreign.env if "name" in item}
    wanted = {item["name"]: item for item in injection.env}
    _check_forbidden(live, forbidden, from_, place)
    for name, item in wanted.items():
        if counts[name] > 1:
            raise Refused(
                Reason.DUPLICATE_ENV, f"{place} lists {name} {counts[name]} times: remove all but one from its manifest"
            )
        if name in live and not same_source(live[name], item):
            raise Refused(
                Reason.ENV_CONFLICT,
                f"{place} already sets {name}: remove it from the manifest or chart that sets it; nothing was written",
            )
        # What stands on the container itself goes before envFrom, so ours is not in danger once it is there.
        if name not in counts and name in from_:
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


def check_mounts(volumes: Sequence[Mapping[str, Any]], container: Container, injection: Injection, where: str) -> None:
    """Refuse when a volume or mount of our name or path is somebody else's.

    Args:
        volumes: those of the pod template, without what this operator wrote there.
        container: likewise.

    Raises:
        Refused: naming the volume or mount.
    """
    for wanted in injection.volumes:
        for volume in volumes:
            if volume.get("name") == wanted["name"] and not covers(volume, wanted):
                raise Refused(
                    Reason.MOUNT_CONFLICT,
                    f"{where} already has a volume named {VOLUME}: rename it in its manifest; nothing was written",
                )
    for wanted in injection.mounts:
        for mount in container.mounts:
            if _path(mount) == _path(wanted) and not covers(mount, wanted):
                raise Refused(
                    Reason.MOUNT_CONFLICT,
                    f"{where}, container {container.name} already mounts something at {wanted['mountPath']}: move it; "
                    "nothing was written",
                )


def _path(mount: Mapping[str, Any]) -> str:
    return posixpath.normpath(mount.get("mountPath") or "")
