"""A new field that could hold a key does not slip in: it is either kept out of texts, or named here with what it holds.

What is named here is proven by the marked keys of tests/cluster/test_security_keys.py.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

from hack.crdgen import KINDS, crd

import gateway_telemetry

SECRET_LIKE = re.compile(r"key|token|secret|passw|credential|header|auth(?!or)|cookie|bearer|pem", re.IGNORECASE)
IN_OBJECTS = {
    "GatewayTelemetry spec.gateway.truefoundry.allowKeyInControlPlane": "a consent",
    "GatewayTelemetry spec.gateway.truefoundry.when[].key": "the name of a span attribute",
    "GatewayTelemetry spec.install.controlPlane.caBundleRef.key": "a key of a Secret's data, not its value",
    "GatewayTelemetry spec.install.controlPlane.secretRef.key": "a key of a Secret's data, not its value",
    "GatewayTelemetry spec.install.controlPlane.secretRef.name": "the name of a Secret",
    "GatewayTelemetry spec.install.inject.workloads.selector.matchExpressions[].key": "the name of a label",
    "GatewayTelemetry spec.install.reference.secretName": "the name of a Secret",
    "GatewayTelemetry spec.install.reference.workloads.selector.matchExpressions[].key": "the name of a label",
    "GatewayTelemetry spec.install.resource.ref.key": "a key of a ConfigMap's data",
    "GatewayTelemetry spec.install.resource.workloads.selector.matchExpressions[].key": "the name of a label",
    "LangSmithTarget spec.allowedNamespaces.selector.matchExpressions[].key": "the name of a label",
    "LangSmithTarget spec.apiKey": "nothing: there only for the API server to refuse it with advice",
    "LangSmithTarget spec.caBundleRef.key": "a key of a Secret's data, not its value",
    "LangSmithTarget spec.credentials.ingest.secretRef.key": "a key of a Secret's data, not its value",
    "LangSmithTarget spec.credentials.ingest.secretRef.name": "the name of a Secret",
    "LangSmithTarget spec.credentials.read.secretRef.key": "a key of a Secret's data, not its value",
    "LangSmithTarget spec.credentials.read.secretRef.name": "the name of a Secret",
}
SHOWN = {
    "adapters.base.Context.ca_pem": "certificates, which are public",
    "plan.targets.Resolved.ca_pem": "certificates, which are public",
    "plan.tenant_record.Remembered.ca_pem": "certificates, which are public",
    "plan.tenant_access.Access.ca_pem": "certificates, which are public",
    "adapters.base.Context.headers": "its repr leaves the key out",
    "adapters.base.EnvVar.secret_key": "a key of a Secret's data, not its value",
    "adapters.base.Page.headers": "a sentence of the docs",
    "adapters.edits.Edit.key": "the field that names an item of a list",
    "plan.resource_write.ResourceWrite.secret": "the name of a Secret",
    "plan.views.records.Added.key": "a key of a ConfigMap's data",
    "plan.writes.Write.secret": "the name of a Secret",
    "plan.writes.Write.secret_stale": "a flag",
}


def leaves(schema: dict[str, Any], path: str) -> Iterator[str]:
    if "properties" in schema:
        for name, item in schema["properties"].items():
            yield from leaves(item, f"{path}.{name}".lstrip("."))
    elif schema.get("type") == "array":
        yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path


def dataclass_fields() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    for module in pkgutil.walk_packages(gateway_telemetry.__path__, "gateway_telemetry."):
        for name, item in vars(importlib.import_module(module.name)).items():
            if inspect.isclass(item) and item.__module__ == module.name and dataclasses.is_dataclass(item):
                for field in dataclasses.fields(item):
                    yield f"{module.name.removeprefix('gateway_telemetry.')}.{name}.{field.name}", field


def test_fields_of_the_two_kinds() -> None:
    found = {
        f"{kind.kind} {path}"
        for kind in KINDS
        for part in ("spec", "status")
        for path in leaves(crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part], part)
        if SECRET_LIKE.search(path)
    }
    assert found == IN_OBJECTS.keys()


def test_fields_that_a_repr_would_show() -> None:
    fields = dict(dataclass_fields())
    assert "langsmith.destination.Destination.ingest_key" in fields  # the walk sees the one that matters most
    shown = {path for path, field in fields.items() if field.repr and SECRET_LIKE.search(field.name)}
    assert shown == SHOWN.keys()
