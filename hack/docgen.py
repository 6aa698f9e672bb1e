"""The reference pages, from the same models and tables that the API server and the code use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway_telemetry.api import meta
from gateway_telemetry.api.reasons import TABLE, Severity
from gateway_telemetry.api.rules import VALIDATIONS
from hack import crdgen

_NOTE = "<!-- Generated from operator/gateway_telemetry/api by `make generate`. Do not edit. -->\n"

_INTRO = f"""
# Reference: `{meta.API_VERSION}`

Two kinds: a [`LangSmithTarget`](#langsmithtarget) says where traces go, a [`GatewayTelemetry`](#gatewaytelemetry)
which gateway sends them there. Complete manifests are in [`examples/`](../examples/README.md), what each condition's
reason means and asks for in [reasons.md](reasons.md). `kubectl explain langsmithtarget.spec --recursive` shows the
fields on the command line.

Fields marked *required* are so within their block. Besides types, lengths and ranges, the API server checks the rules
listed under each kind and answers with their messages; `gateway-telemetry render` checks the same without a cluster.
Unknown fields are refused by `kubectl apply` (its strict validation) and by `render`.
"""

_YOURS = (
    (
        "Secret, ConfigMap",
        f"label `{meta.ROLE_LABEL}: {meta.ROLE_SOURCE}`",
        "Consent: the operator reads only what carries it.",
    ),
    (
        "Secret",
        f"annotation `{meta.HOSTS_ANNOTATION}`",
        "Hosts (comma-separated) that its key may be sent to; every allowed host when absent.",
    ),
    (
        "both kinds",
        f"annotation `{meta.REQUESTED_AT_ANNOTATION}`",
        "A new value asks for a check at once; answered in `status.lastHandledRequest`.",
    ),
)
_OURS = (
    ("Secret", f"label `{meta.ROLE_LABEL}: {meta.ROLE_COPY}`", "A Secret of the operator's; edits are undone."),
    ("ConfigMap", f"label `{meta.ROLE_LABEL}: {meta.ROLE_COPY}`", "A CA beside such a Secret; edits are undone."),
    (
        "pod template",
        f"annotation `{meta.CONFIG_HASH_ANNOTATION}`",
        "Hash of the settings; its change is what replaces the pods.",
    ),
    ("Deployment", f"annotation `{meta.RECORD_ANNOTATION}`", "Name of the Secret that remembers what was written."),
    (
        "GatewayTelemetry",
        f"finalizer `{meta.FINALIZER}`",
        "Present only while something is written that must be taken away.",
    ),
)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(_code(value) for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {schema['items']['type']}s"
    if "additionalProperties" in schema:
        return f"map of {schema['additionalProperties']['type']}s"
    return str(schema["type"])


def _span(low: int | None, high: int | None, unit: str) -> str:
    if high is None:
        return "" if low is None else f"at least {low}{unit}"
    return f"at most {high}{unit}" if low is None else f"{low} to {high}{unit}"


def _limits(schema: dict[str, Any]) -> str:
    """Return lengths and ranges in words."""
    spans = (
        _span(schema.get("minLength"), schema.get("maxLength"), " characters"),
        _span(schema.get("minimum"), schema.get("maximum"), ""),
        _span(schema.get("minItems"), schema.get("maxItems"), " items"),
        _span(schema.get("minProperties"), schema.get("maxProperties"), " entries"),
        "no duplicates" if schema.get("x-kubernetes-list-type") == "set" else "",
    )
    return ", ".join(span for span in spans if span)


def _children(schema: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Yield path, schema and whether it is required, of every field below a schema, depth first."""
    if "items" in schema:
        schema, path = schema["items"], f"{path}[]"
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        yield f"{path}.{name}", value, name in required
        yield from _children(value, f"{path}.{name}")


def _row(path: str, schema: dict[str, Any], *, required: bool) -> str:
    limits = _limits(schema)
    kind = f"{_type(schema)}, {limits}" if limits else _type(schema)
    default = _code(schema["default"]) if schema.get("default") not in (None, "") else ""
    needed = "required" if required else ""
    return f"| `{path}` | {kind} | {needed} | {default} | {_cell(schema.get('description', ''))} |"


def _rules(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """Yield path and message of every rule."""
    for rule in schema.get(VALIDATIONS, ()):
        yield path, rule["message"]
    for name, value in schema.get("properties", {}).items():
        yield from _rules(value, f"{path}.{name}")
    for part, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if part in schema:
            yield from _rules(schema[part], path + suffix)


def _part(kind: crdgen.Kind, part: str, schema: dict[str, Any]) -> list[str]:
    """Return the tables of spec or status: one for its own fields, one for each block."""
    header = ["", "| field | type | | default | meaning |", "|---|---|---|---|---|"]
    lines = ["", f"### {kind.kind} {part}", *header]
    blocks = []
    for name, value in schema["properties"].items():
        path = f"{part}.{name}"
        lines.append(_row(path, value, required=name in schema.get("required", ())))
        below = [_row(inner, item, required=needed) for inner, item, needed in _children(value, path)]
        if below:
            blocks += ["", f"#### `{path}` of {kind.kind}", *header, *below]
    return lines + blocks


def _kind(kind: crdgen.Kind) -> list[str]:
    spec = crdgen.openapi(kind.spec, "")
    columns = ", ".join(column.name + (" (wide)" if column.priority else "") for column in kind.columns)
    lines = [
        "",
        f"## {kind.kind}",
        "",
        kind.description,
        "",
        f"Namespaced; `kubectl get {kind.plural}`, short `{kind.short}`, both kinds together: "
        f"`kubectl get {crdgen.CATEGORY}`. Columns: {columns}.",
        *_part(kind, "spec", spec),
        "",
        f"### What the API server refuses in a {kind.kind}",
        "",
        "| field | message |",
        "|---|---|",
    ]
    by_message: dict[str, list[str]] = {}
    for path, message in _rules(spec, "spec"):
        by_message.setdefault(message, []).append(f"`{path}`")
    lines += [f"| {', '.join(paths)} | {_cell(message)} |" for message, paths in by_message.items()]
    return [*lines, *_part(kind, "status", crdgen.openapi(kind.status, ""))]


def reference() -> str:
    """Return the page of all fields of both kinds."""
    lines = [_NOTE + _INTRO.rstrip()]
    for kind in crdgen.KINDS:
        lines += _kind(kind)
    lines += ["", "## Labels, annotations, finalizer"]
    for title, rows in (("Yours to set:", _YOURS), ("Written by the operator:", _OURS)):
        lines += ["", title, "", "| on | name | meaning |", "|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


_SEVERITIES = (
    (Severity.ACTION, "Somebody must act", "The object is `Stalled` until then. Nothing of a running gateway changes."),
    (Severity.WAITING, "On its way", "The object is `Reconciling`; this solves itself."),
    (Severity.UNKNOWN, "Not known", "Nothing is claimed, and nothing counts against `Ready`."),
    (Severity.OK, "All is well", "Nothing to do."),
)


def reasons() -> str:
    """Return the page of all reasons, by what they ask of a person."""
    lines = [
        _NOTE,
        "# Reasons",
        "",
        "Every condition of both kinds carries one of these reasons, and `kubectl get` shows that of `Ready`. The",
        "condition's message says the same for the object at hand: which field, which value, which command.",
    ]
    for severity, title, text in _SEVERITIES:
        rows = [entry for entry in TABLE if entry.severity is severity]
        lines += [
            "",
            f"## {title}",
            "",
            text,
            "",
            "| reason | conditions | meaning | what to do |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{entry.reason}` | {', '.join(f'`{item}`' for item in entry.conditions)} = {entry.status} "
            f"| {_cell(entry.meaning)} | {_cell(entry.action)} |"
            for entry in sorted(rows, key=lambda entry: str(entry.reason))
        ]
    return "\n".join(lines) + "\n"
