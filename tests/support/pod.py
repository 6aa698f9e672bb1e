"""What the kubelet would give a container of a live Deployment: its environment, files and arguments.

kwok pods run nothing. To see what the operator's settings do, a real process is started with exactly what the pod of
the live Deployment would have, read from the API server: nothing is passed on from the test by another way.
Rules: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Container; a pod's service links
(``KUBERNETES_SERVICE_HOST``, …) are left out, as there is no network of Services.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

Object = dict[str, Any]

DEFAULT_MODE = 0o644
_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")
_FIELD = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class PodError(Exception):
    """The kubelet could not start such a pod, or it has something that is not supported here."""


class Reader(Protocol):
    """Reads live objects, as `tests.support.kube.Kube` does."""

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Return an object, None if there is none."""
        ...


@dataclass(frozen=True)
class File:
    """A file of a volume."""

    content: bytes = field(repr=False)
    mode: int = DEFAULT_MODE


@dataclass(frozen=True)
class Mount:
    """A volume as the container sees it.

    Attributes:
        path: where it is mounted.
        files: by path relative to `path`; a file mounted alone (``subPath``) has the name "".
    """

    path: str
    files: Mapping[str, File]
    read_only: bool


def container_of(deployment: Object, container: str | None = None) -> Object:
    """Return a container of the pod template, the only one if no name is given.

    Raises:
        PodError: there is no such container.
    """
    containers: list[Object] = deployment["spec"]["template"]["spec"]["containers"]
    if container is None and len(containers) == 1:
        return containers[0]
    for item in containers:
        if item["name"] == container:
            return item
    names = ", ".join(item["name"] for item in containers)
    raise PodError(f"Deployment {deployment['metadata']['name']}: no container {container!r} among {names}")


def expand(text: str, env: Mapping[str, str]) -> str:
    """Expand ``$(NAME)`` as the kubelet does: ``$$`` stands for ``$``, what is not defined stays as it is."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else env.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def pod_environment(
    read: Reader, deployment: Object, container: str | None = None, *, pod: str | None = None
) -> dict[str, str]:
    """Return the environment of a container; of several entries of one name the last wins, as in a pod.

    Args:
        read: where Secrets and ConfigMaps are read.
        deployment: the live object.
        container: may be left out if there is only one.
        pod: name of the pod, for ``fieldRef``.

    Raises:
        PodError: a reference that is not optional leads nowhere (in a pod: CreateContainerConfigError).
    """
    namespace = deployment["metadata"]["namespace"]
    item = container_of(deployment, container)
    sources = _Sources(read, namespace)
    env: dict[str, str] = {}
    for entry in item.get("envFrom", ()):
        prefix = entry.get("prefix", "")
        for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
            if key in entry:
                data = sources.data(kind, entry[key]) or {}
                env |= {prefix + name: _text(kind, entry[key]["name"], name, value) for name, value in data.items()}
    for entry in item.get("env", ()):
        value: str | None
        if entry.get("value"):
            value = expand(entry["value"], env)
        elif "valueFrom" in entry:
            value = _value_from(sources, deployment, entry["valueFrom"], pod)
        else:
            value = ""
        if value is not None:
            env[entry["name"]] = value
    return env


def pod_arguments(deployment: Object, env: Mapping[str, str], container: str | None = None) -> list[str]:
    """Return the arguments that the container hands to its image's entry point."""
    return [expand(item, env) for item in container_of(deployment, container).get("args", ())]


def pod_files(read: Reader, deployment: Object, container: str | None = None) -> list[Mount]:
    """Return what is mounted into a container.

    Raises:
        PodError: a source that is not optional is missing (in a pod: FailedMount), or a kind of volume that cannot be
            had here.
    """
    sources = _Sources(read, deployment["metadata"]["namespace"])
    volumes = {item["name"]: item for item in deployment["spec"]["template"]["spec"].get("volumes", ())}
    mounts = []
    for entry in container_of(deployment, container).get("volumeMounts", ()):
        if entry["name"] not in volumes:
            raise PodError(f"volumeMounts: no volume {entry['name']!r}")
        volume = volumes[entry["name"]]
        files = dict(_volume(sources, volume))
        if sub := entry.get("subPath"):
            below = {path.removeprefix(f"{sub}/"): file for path, file in files.items() if path.startswith(f"{sub}/")}
            files = {"": files[sub]} if sub in files else below
        writable = "emptyDir" in volume and not entry.get("readOnly")
        mounts.append(Mount(entry["mountPath"].rstrip("/"), files, read_only=not writable))
    return mounts


@dataclass(frozen=True)
class _Sources:
    """Secrets and ConfigMaps of one namespace."""

    read: Reader
    namespace: str

    def data(self, kind: str, reference: Mapping[str, Any], name: str = "name") -> dict[str, bytes] | None:
        """Return an object's data, None if it is missing and may be."""
        found = self.read.get(kind, self.namespace, reference[name])
        if found is None:
            if reference.get("optional"):
                return None
            raise PodError(f"{kind.lower()} {self.namespace}/{reference[name]} not found")
        if kind == "Secret":
            return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
        binary = {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
        return {key: value.encode() for key, value in (found.get("data") or {}).items()} | binary

    def key(self, kind: str, reference: Mapping[str, Any]) -> str | None:
        data = self.data(kind, reference)
        if data is not None and reference["key"] in data:
            return _text(kind, reference["name"], reference["key"], data[reference["key"]])
        if reference.get("optional"):
            return None
        raise PodError(f"couldn't find key {reference['key']} in {kind} {self.namespace}/{reference['name']}")


def _text(kind: str, name: str, key: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise PodError(f"{kind} {name}: the value of {key} is not UTF-8 and cannot be a variable") from None


def _value_from(sources: _Sources, deployment: Object, value: Mapping[str, Any], pod: str | None) -> str | None:
    if "secretKeyRef" in value:
        return sources.key("Secret", value["secretKeyRef"])
    if "configMapKeyRef" in value:
        return sources.key("ConfigMap", value["configMapKeyRef"])
    if "fieldRef" in value:
        return _field(deployment, value["fieldRef"]["fieldPath"], pod)
    raise PodError(f"valueFrom.{next(iter(value))} is not supported")


def _field(deployment: Object, path: str, pod: str | None) -> str:
    template = deployment["spec"]["template"]
    if found := _FIELD.fullmatch(path):
        return str(template.get("metadata", {}).get(found[1], {}).get(found[2], ""))
    known = {
        "metadata.name": pod or f"{deployment['metadata']['name']}-0",
        "metadata.namespace": deployment["metadata"]["namespace"],
        "spec.serviceAccountName": template["spec"].get("serviceAccountName", "default"),
        "status.podIP": "127.0.0.1",
        "status.hostIP": "127.0.0.1",
    }
    if path not in known:
        raise PodError(f"fieldRef {path} is not supported")
    return str(known[path])


def _volume(sources: _Sources, volume: Mapping[str, Any]) -> Iterator[tuple[str, File]]:
    if "secret" in volume:
        yield from _entries(sources, "Secret", volume["secret"], "secretName", DEFAULT_MODE)
    elif "configMap" in volume:
        yield from _entries(sources, "ConfigMap", volume["configMap"], "name", DEFAULT_MODE)
    elif "projected" in volume:
        mode = volume["projected"].get("defaultMode", DEFAULT_MODE)
        for source in volume["projected"].get("sources", ()):
            [(kind, reference)] = source.items()
            if kind not in ("secret", "configMap"):
                raise PodError(f"volume {volume['name']}: projected source {kind} is not supported")
            yield from _entries(sources, "Secret" if kind == "secret" else "ConfigMap", reference, "name", mode)
    elif "emptyDir" not in volume:
        kind = next(key for key in volume if key != "name")
        raise PodError(f"volume {volume['name']}: {kind} is not supported")


def _entries(
    sources: _Sources, kind: str, reference: Mapping[str, Any], name: str, mode: int
) -> Iterator[tuple[str, File]]:
    data = sources.data(kind, reference, name)
    if data is None:
        return
    mode = reference.get("defaultMode", mode)
    if "items" not in reference:
        yield from ((key, File(content, mode)) for key, content in data.items())
        return
    for item in reference["items"]:
        if item["key"] in data:
            yield item["path"], File(data[item["key"]], item.get("mode", mode))
        elif not reference.get("optional"):
            raise PodError(
                f"{kind.lower()} {sources.namespace}/{reference[name]}: references non-existent key {item['key']}"
            )
