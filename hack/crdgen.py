"""Turn the pydantic models into CustomResourceDefinitions as the API server stores them.

A CRD file that differs from its stored form shows as a permanent difference in GitOps tools,
so nothing is written here that the server would add to or drop: no titles, no references, no
null alternatives, no empty defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.gateway_status import GatewayTelemetryStatus
from gateway_telemetry.api.rules import VALIDATIONS, Model
from gateway_telemetry.api.target import LangSmithTargetSpec, LangSmithTargetStatus

CATEGORY = "gateway-telemetry"
"""``kubectl get`` of this name lists both kinds."""

_LIST_KEYS = {"listType": "x-kubernetes-list-type", "listMapKeys": "x-kubernetes-list-map-keys"}
_KEPT = {
    "type",
    "description",
    "default",
    "enum",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
}


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``; https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#additional-printer-columns."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


@dataclass(frozen=True)
class Kind:
    """What a CRD needs besides its schema."""

    kind: str
    plural: str
    short: str
    spec: type[Model]
    status: type[Model]
    description: str
    columns: tuple[Column, ...]


def _ready(field: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{field}'


KINDS = (
    Kind(
        "LangSmithTarget",
        "langsmithtargets",
        "lst",
        LangSmithTargetSpec,
        LangSmithTargetStatus,
        "A LangSmith workspace and project that gateways send their OpenTelemetry traces to.",
        (
            Column("Ready", _ready("status")),
            Column("Reason", _ready("reason")),
            Column("Traces", ".status.endpoints.traces"),
            Column("Project", ".spec.project"),
            Column("Workspace", ".spec.workspaceId", priority=1),
            Column("Message", _ready("message"), priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    ),
    Kind(
        "GatewayTelemetry",
        "gatewaytelemetries",
        "gt",
        GatewayTelemetrySpec,
        GatewayTelemetryStatus,
        "The trace export of one AI gateway: which target, which project, written how.",
        (
            Column("Ready", _ready("status")),
            Column("Reason", _ready("reason")),
            Column("Gateway", ".spec.gateway.type"),
            Column("Target", ".spec.targetRef.name"),
            Column("Project", ".status.traces.project"),
            Column("Delivered", '.status.conditions[?(@.type=="Delivered")].status'),
            Column("Last-Trace", ".status.evidence.lastTraceTime", "date"),
            Column("Matched", ".status.counts.matched", "integer", priority=1),
            Column("Programmed", ".status.counts.programmed", "integer", priority=1),
            Column("Message", _ready("message"), priority=1),
            Column("Age", ".metadata.creationTimestamp", "date"),
        ),
    ),
)


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the schema in the structural form of Kubernetes.

    References are inlined, ``anyOf [T, null]`` becomes T (a field left out is how this API says
    "none"), and list types become ``x-kubernetes-list-*``.
    """
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "anyOf" in schema:
        (only,) = [option for option in schema["anyOf"] if option.get("type") != "null"]
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        inner = structural(only, definitions)
        rest = {key: value for key, value in rest.items() if not (key == "default" and value is None)}
        return dict(sorted({**inner, **structural({"type": inner["type"], **rest}, definitions)}.items()))
    if "const" in schema:
        schema = {**schema, "enum": [schema["const"]]}
    result = {key: value for key, value in schema.items() if key in _KEPT and value is not None}
    if "properties" in schema:
        result["properties"] = {key: structural(value, definitions) for key, value in schema["properties"].items()}
        if schema.get("required"):
            result["required"] = sorted(schema["required"])
    elif isinstance(schema.get("additionalProperties"), dict):
        result["additionalProperties"] = structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        result["items"] = structural(schema["items"], definitions)
    for ours, theirs in _LIST_KEYS.items():
        if ours in schema:
            result[theirs] = schema[ours]
    if schema.get(VALIDATIONS):
        result[VALIDATIONS] = schema[VALIDATIONS]
    return dict(sorted(result.items()))


def openapi(model: type[Model], description: str) -> dict[str, Any]:
    """Return the structural schema of a spec or status model."""
    raw = model.model_json_schema(by_alias=True)
    result = structural(raw, raw.get("$defs", {}))
    result["description"] = description
    return dict(sorted(result.items()))


def _printer(column: Column) -> dict[str, Any]:
    entry: dict[str, Any] = {"jsonPath": column.json_path, "name": column.name, "type": column.type}
    if column.description:
        entry["description"] = column.description
    if column.priority:
        entry["priority"] = column.priority
    return entry


def crd(kind: Kind) -> dict[str, Any]:
    """Return the CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{meta.GROUP}"},
        "spec": {
            "conversion": {"strategy": "None"},
            "group": meta.GROUP,
            "names": {
                "categories": [CATEGORY],
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "shortNames": [kind.short],
                "singular": kind.kind.lower(),
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "additionalPrinterColumns": [_printer(column) for column in kind.columns],
                    "name": meta.VERSION,
                    "schema": {
                        "openAPIV3Schema": {
                            "description": kind.description,
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": openapi(kind.spec, "What you want."),
                                "status": openapi(kind.status, "What the operator did and found."),
                            },
                            "required": ["spec"],
                            "type": "object",
                        }
                    },
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                }
            ],
        },
    }
