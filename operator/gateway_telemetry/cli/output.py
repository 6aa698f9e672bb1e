"""Objects to text: YAML that every parser reads alike, or JSON; keys as hashes unless asked for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from gateway_telemetry.cli import shapes
from gateway_telemetry.cli.scalars import scalar
from gateway_telemetry.plan.control_plane import concealed

_LINE_ENDS = re.compile("[\r\x85\u2028\u2029\ufeff]")
"""What YAML 1.1 folds like a line break, or drops, unless it is escaped."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def to_yaml(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return a stream of YAML documents."""
    return "---\n".join(
        yaml.dump(obj, Dumper=_Dumper, sort_keys=False, default_flow_style=False, allow_unicode=True, width=2**20)
        for obj in objects
    )


def to_json(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return one List, as ``kubectl get -o json`` prints several objects."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def masked(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object with a short hash in place of each value of a Secret, and of a key that stands in a spec."""
    result = dict(obj)
    kind = obj["apiVersion"], obj["kind"]
    if kind == shapes.SECRET:
        for field in ("data", "stringData"):
            if obj.get(field):
                result[field] = {key: _hash(_bytes(field, text)) for key, text in obj[field].items()}
    elif kind == shapes.TENANT:
        return {**result, "manifest": concealed(obj.get("manifest"))}
    elif kind == shapes.TARGET and isinstance(obj.get("spec"), Mapping) and "apiKey" in obj["spec"]:
        result["spec"] = {**obj["spec"], "apiKey": _hash(json.dumps(obj["spec"]["apiKey"]).encode())}
    else:
        return result
    annotations = obj["metadata"].get("annotations") or {}
    if _LAST_APPLIED in annotations:
        # kubectl keeps the whole object there, values included.
        hashed = {**annotations, _LAST_APPLIED: _hash(annotations[_LAST_APPLIED].encode())}
        result["metadata"] = {**obj["metadata"], "annotations": hashed}
    return result


def _bytes(field: str, text: str | None) -> bytes:
    if field == "data":
        try:
            return base64.b64decode(text or "")
        except (binascii.Error, ValueError):
            return (text or "").encode()
    return (text or "").encode()


def _hash(value: bytes) -> str:
    return f"sha256:{hashlib.sha256(value).hexdigest()[:8]}"


class _Dumper(yaml.CSafeDumper):
    """Quotes what Kubernetes would not read as the same string; writes out what aliases would share."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if _LINE_ENDS.search(value):
        style = '"'
    elif "\n" in value:
        style = "|"
    elif not _is_plain(value):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _is_plain(value: str) -> bool:
    try:
        return isinstance(scalar(value), str)
    except ValueError:
        return False


_Dumper.add_representer(str, _text)
