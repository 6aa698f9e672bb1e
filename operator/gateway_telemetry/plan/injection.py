"""What is written into a pod template: rendering it, comparing it, merging and taking it away.

Only items keyed by name are written (variables, one mount, one volume, one annotation), so
server-side apply merges them beside everything else;
https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.adapters import CA_DIRECTORY, CA_KEY, VOLUME, EnvVar, Settings
from gateway_telemetry.api import meta

HASH_VERSION = 1
"""Part of the hash: raised only on purpose, since a new hash restarts every gateway."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Injection:
    """The items as they stand in the pod template; holds references to Secrets, never their content."""

    container: str
    env: tuple[Item, ...]
    mounts: tuple[Item, ...]
    volumes: tuple[Item, ...]
    config_hash: str

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form for the record."""
        return {
            "container": self.container,
            "env": list(self.env),
            "mounts": list(self.mounts),
            "volumes": list(self.volumes),
            "hash": self.config_hash,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Injection:
        """Return the injection that ``to_json`` wrote.

        Raises:
            KeyError: a part is missing.
            TypeError: a part is not what it should be.
        """
        container, config_hash = value["container"], value["hash"]
        if not isinstance(container, str) or not isinstance(config_hash, str):
            raise TypeError
        return cls(
            container=container,
            env=_items(value["env"], "name"),
            mounts=_items(value["mounts"], "mountPath"),
            volumes=_items(value["volumes"], "name"),
            config_hash=config_hash,
        )

    def names(self) -> frozenset[str]:
        """Return the names of all variables."""
        return frozenset(item["name"] for item in self.env)


def _items(value: Any, key: str) -> tuple[Item, ...]:
    """Return list items that are told apart by a key."""
    if not isinstance(value, list) or not all(isinstance(item, dict) and isinstance(item[key], str) for item in value):
        raise TypeError
    return tuple(value)


def env_item(variable: EnvVar, secret: str) -> dict[str, Any]:
    """Return the variable as a list item of a container.

    References are optional: a pod must never fail to start for lack of the operator's Secret.
    """
    if variable.secret_key is not None:
        reference = {"key": variable.secret_key, "name": secret, "optional": True}
        return {"name": variable.name, "valueFrom": {"secretKeyRef": reference}}
    # The kubelet expands $(NAME) in values; "$$" stands for a plain "$".
    return {"name": variable.name, "value": (variable.value or "").replace("$", "$$")}


def render(container: str, settings: Settings, variables: Iterable[EnvVar], secret: str) -> Injection:
    """Return the injection for one container.

    Args:
        variables: those of ``settings.env`` that are to be written.
        secret: name of the operator's Secret in the workload's namespace.
    """
    env = tuple(env_item(variable, secret) for variable in variables)
    mounts: tuple[Item, ...] = ()
    volumes: tuple[Item, ...] = ()
    if settings.mount_ca:
        mounts = ({"mountPath": CA_DIRECTORY, "name": VOLUME, "readOnly": True},)
        items = [{"key": CA_KEY, "path": CA_KEY}]
        volumes = ({"name": VOLUME, "secret": {"items": items, "optional": True, "secretName": secret}},)
    content = {
        "container": container,
        "env": env,
        "files": {key: text for key, text in sorted(settings.files.items()) if key not in settings.reloaded},
        "mounts": mounts,
        "version": HASH_VERSION,
        "volumes": volumes,
    }
    canonical = json.dumps(content, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return Injection(container, env, mounts, volumes, hashlib.sha256(canonical.encode()).hexdigest()[:16])


def covers(live: Any, wanted: Any) -> bool:
    """Tell whether the live value holds all of the wanted one; the API server may have added defaults."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(key in live and covers(live[key], wanted[key]) for key in wanted)
    if isinstance(wanted, (list, tuple)):
        return (
            isinstance(live, (list, tuple))
            and len(live) == len(wanted)
            and all(covers(one, other) for one, other in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)


def same_source(live: Item, wanted: Item) -> bool:
    """Tell whether a live variable is exactly the wanted one (one source, same content)."""
    return covers(live, wanted) and same_form(live, wanted)


def same_form(one: Item, other: Item) -> bool:
    """Tell whether two variables both hold a value, or both a reference."""
    return ("value" in one) == ("value" in other) and ("valueFrom" in one) == ("valueFrom" in other)


def body(kind: str, namespace: str, name: str, uid: str, injection: Injection | None, record: str) -> dict[str, Any]:
    """Return the server-side apply body that writes the injection, or, with None, drops all of ours.

    The uid makes sure that an object deleted and made again meanwhile is not written to by mistake.
    """
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if uid:
        metadata["uid"] = uid
    result: dict[str, Any] = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata}
    if injection is None:
        return result
    if record:
        metadata["annotations"] = {meta.RECORD_ANNOTATION: record}
    pod: dict[str, Any] = {}
    if injection.env or injection.mounts:
        # A container entry without an item of ours would make a container where there is none of that name.
        container: dict[str, Any] = {"name": injection.container}
        if injection.env:
            container["env"] = list(injection.env)
        if injection.mounts:
            container["volumeMounts"] = list(injection.mounts)
        pod["containers"] = [container]
    if injection.volumes:
        pod["volumes"] = list(injection.volumes)
    template: dict[str, Any] = {}
    if injection.config_hash:
        template["metadata"] = {"annotations": {meta.CONFIG_HASH_ANNOTATION: injection.config_hash}}
    if pod:
        template["spec"] = pod
    if template:
        result["spec"] = {"template": template}
    return result


def merged(obj: Mapping[str, Any], injection: Injection, record: str) -> dict[str, Any]:
    """Return the workload as it looks after the injection: what the API server's merge does, for ``render``."""
    result: dict[str, Any] = copy.deepcopy(dict(obj))
    _below(result["metadata"], "annotations")[meta.RECORD_ANNOTATION] = record
    template = result["spec"]["template"]
    _below(_below(template, "metadata"), "annotations")[meta.CONFIG_HASH_ANNOTATION] = injection.config_hash
    pod = template["spec"]
    for container in pod["containers"]:
        if container.get("name") == injection.container:
            _append(container, "env", injection.env, "name")
            _append(container, "volumeMounts", injection.mounts, "mountPath")
    _append(pod, "volumes", injection.volumes, "name")
    return result


def _below(owner: dict[str, Any], field: str) -> dict[str, Any]:
    """Return the mapping in a field; one that is absent, or null as in hand-written YAML, is made."""
    if owner.get(field) is None:
        owner[field] = {}
    found: dict[str, Any] = owner[field]
    return found


def _append(owner: dict[str, Any], field: str, items: tuple[Item, ...], key: str) -> None:
    if not items:
        return
    names = {item[key] for item in items}
    kept = [item for item in owner.get(field) or () if item.get(key) not in names]
    owner[field] = kept + [copy.deepcopy(dict(item)) for item in items]
