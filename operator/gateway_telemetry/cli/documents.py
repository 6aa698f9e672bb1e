"""Files, directories and standard input to Kubernetes objects, or to the list of all that is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from gateway_telemetry.api import meta
from gateway_telemetry.cli import shapes
from gateway_telemetry.cli.manifest import Malformed, parse

SUFFIXES = (".yaml", ".yml", ".json")
SIZE_LIMIT = 64 * 1024 * 1024
"""Bytes of one file; an API server takes 3 MiB per object."""

Id = tuple[str, str, str, str]
"""API group, kind, namespace and name."""


class Unreadable(Exception):
    """Input that cannot be used; one line per problem."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class Loaded:
    """An object and where it was read.

    Attributes:
        place: ``file:line`` of its document.
    """

    id: Id
    obj: dict[str, Any]
    place: str


def read(sources: Iterable[str], stdin: BinaryIO, namespace: str) -> list[Loaded]:
    """Return the objects of files, directories and ``-`` in the order given.

    Args:
        namespace: of objects that name none.

    Raises:
        Unreadable: with every problem that could be found.
    """
    problems: list[str] = []
    loaded: dict[Id, Loaded] = {}
    for place, value in _values(sources, stdin, problems):
        for item_place, obj in _items(place, value):
            found = _object(item_place, obj, namespace, problems)
            if found is None:
                continue
            first = loaded.setdefault(found.id, found)
            if first is not found:
                problems.append(f"{found.place}: {label(found.id)} is in {first.place} already: remove one of the two")
    if not loaded and not problems:
        problems.append("there is no object in the input: name files with Kubernetes objects after -f")
    if problems:
        raise Unreadable(problems)
    return list(loaded.values())


def label(id_: Id) -> str:
    """Return an object's kind and name as messages show it."""
    _, kind, namespace, name = id_
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _values(sources: Iterable[str], stdin: BinaryIO, problems: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield place and value of every document."""
    for source in sources:
        for name in [source] if source == "-" else _files(source, problems):
            try:
                text = _text(name, stdin)
                documents = parse(text, json_only=name.endswith(".json"))
            except OSError as error:
                problems.append(f"{name}: {error.strerror or error}")
            except Malformed as error:
                problems.append(f"{_shown(name)}:{error.line}: {error.problem}")
            else:
                for document in documents:
                    yield f"{_shown(name)}:{document.line}", document.value


def _shown(name: str) -> str:
    return "<stdin>" if name == "-" else name


def _files(source: str, problems: list[str]) -> list[str]:
    """Return the file, or those below a directory; hidden ones are left out."""
    path = Path(source)
    if not path.is_dir():
        return [source]
    found: list[str] = []
    for folder, folders, names in os.walk(path, onerror=lambda error: problems.append(f"{source}: {error}")):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            str(Path(folder, name)) for name in sorted(names) if name.endswith(SUFFIXES) and not name.startswith(".")
        ]
    if not found:
        problems.append(f"{source}: no {', '.join(SUFFIXES)} file below this directory")
    return found


def _text(name: str, stdin: BinaryIO) -> str:
    """Return the text of a file or of standard input.

    Raises:
        OSError: it cannot be read.
        Malformed: it is too large, or not UTF-8.
    """
    if name == "-":
        raw = stdin.read(SIZE_LIMIT + 1)
    else:
        with Path(name).open("rb") as file:
            raw = file.read(SIZE_LIMIT + 1)
    if len(raw) > SIZE_LIMIT:
        raise Malformed(1, f"larger than {SIZE_LIMIT // 1024 // 1024} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
    raise Malformed(line, "not UTF-8 text")


def _items(place: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the object, or the objects of a list such as ``kubectl get -o yaml`` prints."""
    items = value.get("items") if isinstance(value, dict) else None
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(items, list) or not isinstance(kind, str) or not kind.endswith("List"):
        yield place, value
        return
    for index, item in enumerate(items):
        if isinstance(item, dict) and kind != "List":
            # The API server's own lists tell the kind once.
            item = {"apiVersion": value.get("apiVersion"), "kind": kind.removesuffix("List"), **item}
        yield f"{place} (items[{index}])", item


def _object(place: str, value: Any, namespace: str, problems: list[str]) -> Loaded | None:
    """Return a checked object; problems are added to the list."""
    fault = _not_an_object(value)
    if fault is not None:
        problems.append(f"{place}: {fault}")
        return None
    api_version, kind, metadata = value["apiVersion"], value["kind"], value["metadata"]
    group = api_version.rpartition("/")[0]
    if (api_version, kind) not in shapes.KNOWN:
        if group == meta.GROUP:
            problems.append(
                f"{place}: there is no kind {kind} in {api_version}: this version knows LangSmithTarget and "
                f"GatewayTelemetry in {meta.API_VERSION}"
            )
            return None
        return Loaded((group, kind, str(metadata.get("namespace") or ""), metadata["name"]), value, place)
    obj = {**value, "metadata": _metadata(metadata, None if kind == "Namespace" else namespace)}
    id_ = (group, kind, "" if kind == "Namespace" else str(obj["metadata"]["namespace"]), metadata["name"])
    found = [f"{place}: {label(id_)}: {fault}" for fault in shapes.faults(obj)]
    problems.extend(found)
    return None if found else Loaded(id_, obj, place)


def _not_an_object(value: Any) -> str | None:
    """Return why a value is no Kubernetes object, or None."""
    if not isinstance(value, dict):
        return "not a Kubernetes object: it must be a mapping with apiVersion, kind and metadata"
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            hint = " (files of Helm and Kustomize are rendered with helm template and kubectl kustomize first)"
            return f"not a Kubernetes object: {field} is missing{hint}"
    metadata = value.get("metadata")
    if not isinstance(metadata, dict):
        return f"{value['kind']}: metadata is missing"
    if not isinstance(metadata.get("name"), str) or not metadata["name"]:
        instead = ": generateName does not do, since there is no API server" if metadata.get("generateName") else ""
        return f"{value['kind']}: metadata.name is missing{instead}"
    return None


def _metadata(metadata: Mapping[str, Any], namespace: str | None) -> dict[str, Any]:
    """Return the metadata without nulls, and with a namespace if the kind has one."""
    kept = {key: value for key, value in metadata.items() if value is not None}
    if namespace is None or kept.get("namespace"):
        return kept
    return {"name": kept["name"], **kept, "namespace": namespace}
