"""The parts of Kubernetes objects that planning reads, with the types that the API server insists on.

Files are not checked by an API server, so what planning takes for granted is checked here; everything else passes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from gateway_telemetry.api import meta
from gateway_telemetry.api.gateway import GatewayTelemetrySpec
from gateway_telemetry.api.gateway_status import GatewayTelemetryStatus
from gateway_telemetry.api.meta import NamespaceName, ObjectName
from gateway_telemetry.api.rules import Model
from gateway_telemetry.api.target import LangSmithTargetSpec, LangSmithTargetStatus
from gateway_telemetry.plan.tenants import KIND as TENANT_KIND
from gateway_telemetry.plan.tenants import TENANT_API

Strings = dict[str, str]


class _Shape(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")


class Metadata(_Shape):
    """Object metadata; null stands for "left out"."""

    name: ObjectName
    namespace: NamespaceName | None = None
    uid: str | None = None
    generation: int | None = None
    resource_version: str | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: Strings | None = None
    annotations: Strings | None = None
    finalizers: list[str] | None = None
    owner_references: list[dict[str, Any]] | None = None
    managed_fields: list[dict[str, Any]] | None = None


class _KnownMetadata(Metadata):
    """The same, with all fields that there are: others are a mistake in an object of ours."""

    model_config = ConfigDict(extra="forbid")

    generate_name: str | None = None
    self_link: str | None = None
    deletion_grace_period_seconds: int | None = None


class _Object(_Shape):
    metadata: Metadata


class _Reference(_Shape):
    name: str | None = None


class _EnvFrom(_Shape):
    prefix: str | None = None
    config_map_ref: _Reference | None = None
    secret_ref: _Reference | None = None


class _EnvVar(_Shape):
    name: str
    value: str | None = None
    value_from: dict[str, Any] | None = None


class _Mount(_Shape):
    name: str
    mount_path: str


class _Container(_Shape):
    name: str
    env: list[_EnvVar] | None = None
    env_from: list[_EnvFrom] | None = None
    volume_mounts: list[_Mount] | None = None


class _Volume(_Shape):
    name: str


class _Pod(_Shape):
    containers: list[_Container] = Field(min_length=1)
    volumes: list[_Volume] | None = None


class _TemplateMetadata(_Shape):
    labels: Strings | None = None
    annotations: Strings | None = None


class _Template(_Shape):
    metadata: _TemplateMetadata | None = None
    spec: _Pod


class _SelectorRequirement(_Shape):
    key: str
    operator: str
    values: list[str] | None = None


class _Selector(_Shape):
    match_labels: Strings | None = None
    match_expressions: list[_SelectorRequirement] | None = None


class _RollingUpdate(_Shape):
    partition: int | None = None


class _UpdateStrategy(_Shape):
    type: str | None = None
    rolling_update: _RollingUpdate | None = None


class _WorkloadSpec(_Shape):
    replicas: int | None = None
    paused: bool | None = None
    selector: _Selector | None = None
    update_strategy: _UpdateStrategy | None = None
    template: _Template


class _RolloutCondition(_Shape):
    type: str
    reason: str | None = None
    message: str | None = None


class _WorkloadStatus(_Shape):
    observed_generation: int | None = None
    replicas: int | None = None
    updated_replicas: int | None = None
    available_replicas: int | None = None
    current_revision: str | None = None
    update_revision: str | None = None
    desired_number_scheduled: int | None = None
    current_number_scheduled: int | None = None
    updated_number_scheduled: int | None = None
    number_available: int | None = None
    conditions: list[_RolloutCondition] | None = None


class _Workload(_Object):
    spec: _WorkloadSpec
    status: _WorkloadStatus | None = None


class _Port(_Shape):
    port: int


class _ServiceSpec(_Shape):
    type: str | None = None
    selector: Strings | None = None
    ports: list[_Port] | None = None


class _Service(_Object):
    spec: _ServiceSpec | None = None


class _ConfigMap(_Object):
    data: Strings | None = None
    binary_data: Strings | None = None


class _Secret(_Object):
    data: dict[str, str | None] | None = None
    string_data: Strings | None = None


class _Custom(_Shape):
    model_config = ConfigDict(extra="forbid")

    api_version: str
    kind: str
    metadata: _KnownMetadata
    spec: dict[str, Any] | None = None
    status: dict[str, Any] | None = None


NAMESPACE = ("v1", "Namespace")
SECRET = ("v1", "Secret")
CONFIG_MAP = ("v1", "ConfigMap")
SERVICE = ("v1", "Service")
WORKLOADS = {kind: ("apps/v1", kind) for kind in ("Deployment", "StatefulSet", "DaemonSet")}
"""By kind."""
TARGET = (meta.API_VERSION, "LangSmithTarget")
GATEWAY = (meta.API_VERSION, "GatewayTelemetry")
TENANT = (TENANT_API, TENANT_KIND)
"""What a control plane is sent; shown, never applied."""

_SHAPES: Mapping[tuple[str, str], type[BaseModel]] = {
    NAMESPACE: _Object,
    SECRET: _Secret,
    CONFIG_MAP: _ConfigMap,
    SERVICE: _Service,
    **dict.fromkeys(WORKLOADS.values(), _Workload),
    TARGET: _Custom,
    GATEWAY: _Custom,
}
_MODELS: Mapping[tuple[str, str], tuple[type[Model], type[Model]]] = {
    TARGET: (LangSmithTargetSpec, LangSmithTargetStatus),
    GATEWAY: (GatewayTelemetrySpec, GatewayTelemetryStatus),
}
KNOWN = frozenset(_SHAPES)
"""apiVersion and kind of all objects that planning reads."""

_MASKED = re.compile(r"sha256:[0-9a-f]{8}")
_TEXTS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this kind: check its spelling and its place",
    "string_type": "must be a string: put it in quotes",
    "int_type": "must be an integer",
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "list_type": "must be a list",
}


def faults(obj: Mapping[str, Any]) -> Iterator[str]:
    """Yield what makes an object of a known kind unreadable, as ``field: what is wrong``; never a value.

    A spec that breaks a rule of our kinds is no such fault: the object's status tells it.
    """
    kind = (obj["apiVersion"], obj["kind"])
    found = list(_errors(_SHAPES[kind], obj, ()))
    yield from found
    if found:
        return
    if kind in _MODELS:
        spec, status = _MODELS[kind]
        yield from _errors(spec, obj.get("spec") or {}, ("spec",), only="extra_forbidden")
        yield from _errors(status, obj.get("status") or {}, ("status",))
    if kind == SECRET:
        yield from _secret_faults(obj)


def _errors(model: type[BaseModel], value: Any, prefix: tuple[str, ...], only: str | None = None) -> Iterator[str]:
    try:
        model.model_validate(value)
    except ValidationError as error:
        for item in error.errors(include_input=False, include_url=False, include_context=False):
            if only is None or item["type"] == only:
                text = _TEXTS.get(item["type"], item["msg"].removeprefix("Value error, "))
                yield f"{_path((*prefix, *item['loc']))}: {text}"


def _path(parts: tuple[str | int, ...]) -> str:
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _secret_faults(obj: Mapping[str, Any]) -> Iterator[str]:
    for field in ("data", "stringData"):
        for key, text in (obj.get(field) or {}).items():
            if text is not None and _MASKED.fullmatch(text):
                yield f"{field}.{key}: was masked by an earlier render: make that output with --show-secrets"
            elif field == "data" and not _is_base64(text or ""):
                yield f"data.{key}: is not base64: plain text belongs in stringData"


def _is_base64(text: str) -> bool:
    # The API server ignores line breaks, and only those.
    try:
        base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True
