"""The write that an object of ``install.resource`` needs, what is remembered of it, and how it is taken back."""

from __future__ import annotations

import base64
import copy
import gzip
import io
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway_telemetry.adapters import collector_yaml as collector
from gateway_telemetry.adapters import edits as changes
from gateway_telemetry.adapters.edits import Path
from gateway_telemetry.api import meta
from gateway_telemetry.plan.managed import managed_secret, record_text
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import (
    ORIGINAL_KEY,
    RECORD_KEY,
    Added,
    Record,
    digest,
    last_manager,
)

LONGEST_TEXT = 1_048_576
"""Bytes of a ConfigMap at most."""
LONGEST_ORIGINAL = 700_000
"""Characters of the compressed original that are kept at most: a Secret holds a megabyte."""


@dataclass(frozen=True)
class Found:
    """What reading the object gave.

    Attributes:
        obj: the object, or None.
        problem: why it could not be read.
        note: what is worth knowing about the pods that its controller makes.
        unwritten: whether the last write of it failed: that something is missing is nobody's doing then.
    """

    obj: Mapping[str, Any] | None = None
    problem: Refused | None = None
    note: str = ""
    unwritten: bool = False


ResourceLookup = Callable[[Gateway], Found]


@dataclass(frozen=True)
class ResourceWrite:
    """What one object must hold, and how it gets there.

    Attributes:
        patch: JSON patch of the object, which tests that it is still as it was seen; empty if nothing is to change.
        files: data of the operator's Secret for the gateway's pods; holds the key, unless workloads get it.
        original: a ConfigMap's text without our additions, to be remembered; None where what is remembered holds.
        repair: whether somebody took out what was put in.
        managers: entries of the object's managedFields, as it was seen.
    """

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str
    secret: str
    patch: tuple[Mapping[str, Any], ...]
    files: Mapping[str, str] = field(repr=False)
    added: Added
    original: str | None
    record: Record | None
    record_stale: bool
    repair: bool
    managers: tuple[Mapping[str, Any], ...] = field(repr=False)

    @property
    def manager(self) -> str:
        """Return the field manager that changed the object last; may be empty."""
        return last_manager(self.managers)

    @property
    def claimed(self) -> bool:
        """Tell whether a crash between two writes left our entry in its managedFields."""
        return any(meta.is_claim(entry, "Update") for entry in self.managers)

    @property
    def due(self) -> bool:
        """Tell whether there is anything to write."""
        return bool(self.patch) or self.record_stale or self.claimed

    @property
    def salt(self) -> str:
        """Return what pods that read a ConfigMap must be restarted for when it changes."""
        text = json.dumps([item.to_json() for item in self.added.edits], sort_keys=True)
        return digest({"edits": text, **({"repairs": str(self.added.repairs)} if self.added.repairs else {})})


def replaced(path: Path, old: str, new: str) -> tuple[Mapping[str, Any], ...]:
    """Return the JSON patch that replaces one text, and tests that it is still the old one."""
    pointer = "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in path)
    return ({"op": "test", "path": pointer, "value": old}, {"op": "replace", "path": pointer, "value": new})


def packed(text: str) -> str:
    """Return a text as it is kept in the Secret, or nothing if it is too long for that: then restoring takes out.

    The same text gives the same bytes.
    """
    kept = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return kept if len(kept) <= LONGEST_ORIGINAL else ""


def unpacked(text: str) -> str | None:
    """Return the text that was kept, or None if there is none that can be read.

    No longer than a ConfigMap can be: whoever forged the Secret must not fill the operator's memory.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(text, validate=True))) as file:
            raw = file.read(LONGEST_TEXT + 1)
        return raw.decode() if text and len(raw) <= LONGEST_TEXT else None
    except (ValueError, OSError, EOFError, zlib.error):
        return None


def resource_secret(view: Gateway, write: ResourceWrite) -> dict[str, Any]:
    """Return the Secret beside the object: its record, and what the gateway's pods take from it.

    It goes when the object goes (owner reference).
    """
    record = {
        "owner": {"namespace": view.namespace, "name": view.name, "uid": view.uid or None},
        "workload": {"kind": write.kind, "name": write.name, "uid": write.uid or None},
        "added": write.added.to_json(),
        "orphan": view.spec is not None and view.spec.deletion_policy == "Orphan",
    }
    files = {**write.files, RECORD_KEY: record_text(record)}
    if write.original is not None:
        files[ORIGINAL_KEY] = write.original
    return managed_secret(
        write.namespace,
        write.secret,
        {meta.OWNER_ANNOTATION: f"{view.namespace}/{view.name}"},
        files,
        {"apiVersion": write.api_version, "kind": write.kind, "name": write.name, "uid": write.uid},
    )


def withdrawal(record: Record, obj: Mapping[str, Any], original: str | None) -> tuple[Mapping[str, Any], ...]:
    """Return the JSON patch that takes out what a record remembers; empty if nothing of it is there.

    A ConfigMap that nobody changed since gets back its former text, byte by byte; of any other just ours goes.

    Raises:
        WrongShape: the ConfigMap's text cannot be read.
    """
    added = record.added
    assert added is not None
    if record.workload[0] == "ConfigMap":
        text = (obj.get("data") or {}).get(added.key)
        if not isinstance(text, str):
            return ()
        untouched = digest({"": text}) == added.after
        new = original if untouched and original is not None else collector.take(text, added.all, added.made)
        return () if new == text else replaced(("data", added.key), text, new)
    tree = {"spec": changes.plain(obj.get("spec") or {})}
    if not changes.take(tree, added.all, added.made):
        return ()
    version = obj["metadata"].get("resourceVersion")
    test = [{"op": "test", "path": "/metadata/resourceVersion", "value": version}] if version else []
    return (*test, {"op": "add", "path": "/spec", "value": tree.get("spec", {})})


def patched(obj: Mapping[str, Any], patch: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    """Return the object after a patch of this module: what the API server makes of it, for ``render``."""
    result: dict[str, Any] = copy.deepcopy(dict(obj))
    for operation in patch:
        if operation["op"] == "test":
            continue
        *above, last = (
            part.replace("~1", "/").replace("~0", "~") for part in str(operation["path"]).removeprefix("/").split("/")
        )
        owner = result
        for part in above:
            owner = owner[part]
        owner[last] = operation["value"]
    return result
