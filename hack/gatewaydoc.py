"""docs/gateways.md, from the adapters themselves and from what tests saw of real gateways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from gateway_telemetry.adapters import Adapter, Context, EnvVar, Settings, adapters
from gateway_telemetry.api.gateway import FILE_GATEWAYS, GatewayTelemetrySpec
from gateway_telemetry.endpoint import EndpointProblem, Headers, saas

SEEN = Path(__file__).resolve().parent.parent / "docs" / "delivered.json"
_NOTE = "<!-- Generated from the adapters and docs/delivered.json by `make generate`. Do not edit. -->\n"
_INTRO = """
# Gateways

What the operator writes for each gateway, read off the code that writes it. How it gets there is said by `install`:
`inject` into pod templates, `reference` by a Secret that your chart refers to, `resource` into another object,
`controlPlane` over the network. How to add a gateway: [adapters.md](adapters.md).

- **Evidence** `Resource` means that every span carries a stamp by which the operator finds the gateway's traces again;
  without one, `Delivered` stays `Unknown/NotStamped`.
- **CA**: settings for the exporter alone. A variable for the whole process (`SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS`,
  `REQUESTS_CA_BUNDLE`) would replace what the gateway's calls to model providers trust, so none is ever written. A
  gateway without such a setting is refused (`CABundleUnsupportedByAdapter`) until `gateway.caInstalled: true` says that
  it trusts the CA by its own means.
- **Content**: what `capture: {content: false}` does. Where nothing that can be written leaves prompts and completions
  out, it is refused (`CaptureUnsupportedByAdapter`), never ignored.
- **Resource attributes**: where spans carry none of ours, `resourceAttributes` is refused
  (`ResourceAttributesUnsupportedByAdapter`).
- **Headers**: their form in the setting. A project name that this form cannot carry is refused before anything is
  written (`ProjectNameUnsupportedByAdapter`), never changed.
"""
_DELIVERED = """
## Seen delivering

Real gateways, started with exactly the variables and files that the operator had written, for each form of LangSmith
and two project names. LangSmith's own SDK read the traces back from a stand-in of LangSmith, over TLS of a private CA;
the host of the SaaS form is resolved to it. `tests/cluster/gateways` runs the whole table with
`GATEWAY_TELEMETRY_FULL=1`, and one cell of each row otherwise.
"""
_HEAD = ("`gateway.type`", "gateway", "`install`", "evidence", "changed settings take", "CA", "content", "headers")
_WAYS = {"truefoundry": ("inject", "reference", "controlPlane")}
_RESOURCES = {
    "agentgateway": "AgentgatewayParameters",
    "envoy-ai-gateway": "GatewayConfig",
    "otel-collector": "OpenTelemetryCollector",
}
"""Kind of the object, by type."""
_PEM = "-----BEGIN CERTIFICATE-----"


def ways(adapter: Adapter) -> tuple[str, ...]:
    """Return the members of ``spec.install`` that a gateway can be installed by."""
    if adapter.type in _RESOURCES:
        return ("resource",)
    if adapter.type in FILE_GATEWAYS:
        return ("reference",)
    return _WAYS.get(adapter.type, ("inject", "reference"))


def _context(adapter: Adapter, *, ca: bool, content: bool | None) -> Context:
    workloads = {"selector": {"matchLabels": {"app": "gateway"}}}
    options = {"litellm": {"callback": "langsmith"}} if "langsmith" in adapter.page.title else {}
    way = {
        "resource": {"resource": {"ref": {"kind": _RESOURCES.get(adapter.type), "name": "gateway"}}},
        "reference": {"reference": {"secretName": "traces", "workloads": workloads}},
        "inject": {"inject": {"workloads": workloads}},
    }[ways(adapter)[0]]
    spec = {
        "targetRef": {"name": "target"},
        "gateway": {"type": adapter.type, **options},
        "install": way,
        "capture": None if content is None else {"content": content},
    }
    return Context(
        spec=GatewayTelemetrySpec.model_validate(spec),
        endpoints=saas("us"),
        headers=Headers("<key>", "<project>", "00000000-0000-0000-0000-000000000000"),
        ca_pem=_PEM if ca else None,
        identity="<stamp>",
        workload=("Deployment", "<namespace>", "<workload>"),
    )


def _settings(adapter: Adapter, *, ca: bool = False, content: bool | None = None) -> Settings | None:
    try:
        return adapter.settings(_context(adapter, ca=ca, content=content))
    except EndpointProblem:
        return None


def _value(item: EnvVar) -> str:
    endpoints = saas("us")
    known = {
        endpoints.traces: "full traces URL",
        endpoints.otlp: "base URL, to which the gateway adds `/v1/traces`",
        endpoints.api: "URL of the API",
        "<project>": "project",
        "00000000-0000-0000-0000-000000000000": "workspace, if the target has one",
    }
    if item.secret_key is not None:
        return f"from the operator's Secret, key `{item.secret_key}`"
    value = item.value or ""
    if value.startswith("gatewaytelemetry.id="):
        return "stamp, namespace, workload, then `resourceAttributes`"
    return known.get(value, f"`{value}`")


def _variables(adapter: Adapter) -> Iterator[str]:
    """Yield the rows of all variables, with when they are written."""
    seen: set[str] = set()
    for when, found in (
        ("always", _settings(adapter)),
        ("with a CA", _settings(adapter, ca=True)),
        ("`capture: {content: false}`", _settings(adapter, content=False)),
        ("`capture: {content: true}`", _settings(adapter, content=True)),
    ):
        for item in found.env if found is not None else ():
            row = f"{item.name} {_value(item)}"
            if row not in seen:
                seen.add(row)
                gives_way = ", unless it is there already" if item.yields else ""
                yield f"| `{item.name}` | {_value(item)} | {when}{gives_way} |"


def _refused(adapter: Adapter) -> Iterator[str]:
    for rule in adapter.forbidden(_context(adapter, ca=False, content=None)):
        what = f"is one of {', '.join(f'`{value}`' for value in sorted(rule.values))}" if rule.values else "is set"
        if rule.harmless:
            what = f"is anything but {', '.join(f'`{value}`' for value in sorted(rule.harmless) if value)}"
        yield f"| `{rule.name}` | {what} | `{rule.reason}`: {rule.why} |"


def _section(adapter: Adapter) -> list[str]:
    page = adapter.page
    plain = _settings(adapter)
    lines = ["", f"## {page.title}", "", f"`gateway.type: {adapter.type}`; source: <{page.source}>", ""]
    lines += [f"- {note}" for note in page.notes]
    container = f"`{adapter.container}`" if adapter.container else "the only one, or the one that you name"
    if plain is not None:
        lines.append(f"- Container: {container}.")
        documents = ", ".join(f"`{name}`" for name in plain.documents)
        lines += [f"- Files in the Secret: {documents}."] if documents else []
    rows = list(_variables(adapter))
    if rows:
        lines += ["", "| variable | value | when |", "|---|---|---|", *rows]
    refused = list(_refused(adapter))
    if refused:
        lines += [
            "",
            "Not written, and named, where the container",
            "",
            "| has | that | reason |",
            "|---|---|---|",
            *refused,
        ]
    return lines


def _delivered() -> list[str]:
    """Return the table of what tests saw."""
    seen: dict[str, dict[str, str]] = json.loads(SEEN.read_text(encoding="utf-8"))
    columns = list(dict.fromkeys(cell for cells in seen.values() for cell in cells))
    heads = [cell.replace(" | ", ": ") for cell in columns]
    lines = [_DELIVERED, f"| gateway | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    return lines + [
        f"| {title} | {' | '.join(cells.get(cell, 'not run') for cell in columns)} |" for title, cells in seen.items()
    ]


def gateways() -> str:
    """Return the page."""
    table = [f"| {' | '.join(_HEAD)} |", "|---" * len(_HEAD) + "|"]
    for adapter in adapters():
        page = adapter.page
        install = ", ".join(f"`{way}`" for way in ways(adapter))
        cells = (page.title, install, adapter.evidence, page.restart, page.ca, page.content, page.headers)
        table.append(f"| `{adapter.type}` | {' | '.join(cells)} |")
    lines = [_NOTE + _INTRO, *table]
    for adapter in adapters():
        lines += _section(adapter)
    return "\n".join([*lines, *_delivered(), ""])
