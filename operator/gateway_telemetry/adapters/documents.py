"""What gateways share that read files, or variables under names of their user's choice; for Reference mode.

A file that holds the key lies in the Secret itself. Where a gateway can refer to variables, the file names those
instead, so that it can be pasted anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from gateway_telemetry.adapters import otel
from gateway_telemetry.adapters.base import API_KEY, CA_DIRECTORY, CA_KEY, Context, EnvVar

CA_PATH = f"{CA_DIRECTORY}/{CA_KEY}"
ENDPOINT = "GATEWAY_TELEMETRY_TRACES_ENDPOINT"
HEADER_VARIABLES = {
    "x-api-key": "GATEWAY_TELEMETRY_API_KEY",
    "langsmith-project": "GATEWAY_TELEMETRY_PROJECT",
    "x-tenant-id": "GATEWAY_TELEMETRY_WORKSPACE_ID",
}
"""Variables for header values, by header."""


NUMBER_LIKE = re.compile(
    r"[+-]?(0x[0-9a-f.]+(p[+-]?\d+)?|0[bo][0-7]+|\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|\.?inf(inity)?|\.?nan)",
    re.IGNORECASE,
)
"""What some parser of YAML, or Lua's tonumber, takes for a number."""


class _Dumper(yaml.CSafeDumper):
    """Quotes whatever looks like a number to some parser: gateways read YAML 1.1, YAML 1.2 or less."""


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    style = "'" if NUMBER_LIKE.fullmatch(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def to_yaml(value: Any) -> str:
    """Return a document in the order of its keys."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def variables(context: Context) -> tuple[list[EnvVar], dict[str, str]]:
    """Return the variables that a file of the user's may refer to, and the Secret's data for them."""
    env = [EnvVar(ENDPOINT, context.endpoints.traces)]
    for header, value in context.headers.as_mapping().items():
        name = HEADER_VARIABLES[header]
        env.append(EnvVar(name, secret_key=API_KEY) if header == "x-api-key" else EnvVar(name, value))
    return env, {API_KEY: context.headers.api_key}


def with_ca(context: Context, files: Mapping[str, str]) -> dict[str, str]:
    """Return the Secret's data with the CA, where there is one."""
    return {**files, **({} if context.ca_pem is None else {CA_KEY: context.ca_pem})}


def service_name(context: Context, default: str) -> str:
    """Return the service name: the user's, the workload's, or the gateway's usual one."""
    return (context.spec.resource_attributes or {}).get("service.name") or context.workload[2] or default


def attributes(context: Context, service: str) -> dict[str, str]:
    """Return the resource attributes with a service name; empty ones, which some gateways refuse, are left out."""
    found = {"service.name": service_name(context, service), **otel.attributes(context)}
    return {key: value for key, value in found.items() if value}
