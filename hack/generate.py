"""Write, or with ``--check`` compare, every file that is generated from the models and tables.

A new generated file is one more entry of ``OUTPUTS``.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from gateway_telemetry.api.reasons import TABLE, Severity
from hack import crdgen, docgen, gatewaydoc, troubleshooting

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Generated from operator/gateway_telemetry/api by `make generate`. Do not edit."

_USE = """-- In the ConfigMap argocd-cm, as the value of both \
resource.customizations.health.gatewaytelemetry.dev_LangSmithTarget
-- and resource.customizations.health.gatewaytelemetry.dev_GatewayTelemetry.
"""
_HEALTH = """
local health = { status = 'Progressing', message = 'Waiting for the operator' }
if obj.metadata.deletionTimestamp ~= nil then
  health.message = 'Being deleted: what was written is being taken away'
  return health
end
if obj.status == nil or obj.status.conditions == nil then
  return health
end
if obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = 'Waiting for the operator to see the last change'
  return health
end
local found = {}
for _, condition in ipairs(obj.status.conditions) do
  found[condition.type] = condition
end
local function holds(name)
  return found[name] ~= nil and found[name].status == 'True'
end
if holds('Suspended') then
  return { status = 'Suspended', message = found.Suspended.message }
end
local ready = found.Ready
if ready == nil then
  return health
end
health.message = ready.reason .. ': ' .. (ready.message or '')
if ready.status == 'True' then
  health.status = 'Healthy'
elseif holds('Stalled') or (action[ready.reason] and not holds('Reconciling')) then
  health.status = 'Degraded'
end
return health
"""

_CHART_CRD = """{{{{- /* {note} */ -}}}}
{{{{- if .Values.crds.enabled }}}}
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {name}
  labels:
    {{{{- include "gateway-telemetry-operator.labels" . | nindent 4 }}}}
  {{{{- if .Values.crds.keep }}}}
  annotations:
    helm.sh/resource-policy: keep
  {{{{- end }}}}
{body}{{{{- end }}}}
"""
_CHART_CRDS = "charts/gateway-telemetry-operator/templates/crds"


def crd(kind: crdgen.Kind) -> str:
    """Return the CRD as YAML."""
    return f"# {NOTE}\n" + yaml.safe_dump(crdgen.crd(kind), sort_keys=False, width=110, allow_unicode=True)


def chart_crd(kind: crdgen.Kind) -> str:
    """Return the CRD as a template of the chart, so that ``helm upgrade`` upgrades it, too.

    Helm never upgrades what lies in a chart's crds/:
    https://helm.sh/docs/chart_best_practices/custom_resource_definitions/
    """
    definition = crdgen.crd(kind)
    body = yaml.safe_dump({"spec": definition["spec"]}, sort_keys=False, width=110, allow_unicode=True)
    # To Helm, "{{" begins an action, also within a rule or a description.
    return _CHART_CRD.format(note=NOTE, name=definition["metadata"]["name"], body=body.replace("{{", '{{ "{{" }}'))


def argocd_health() -> str:
    """Return Argo CD's health script, the same for both kinds.

    https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#custom-health-checks
    """
    action = sorted(str(entry.reason) for entry in TABLE if entry.severity is Severity.ACTION)
    rows = "".join(f"  {reason} = true,\n" for reason in action)
    return f"-- {NOTE}\n{_USE}-- Reasons that somebody must act on.\nlocal action = {{\n{rows}}}\n{_HEALTH.lstrip()}"


OUTPUTS: tuple[tuple[str, Callable[[], str]], ...] = (
    *((f"crds/gatewaytelemetry.dev_{kind.plural}.yaml", functools.partial(crd, kind)) for kind in crdgen.KINDS),
    *((f"{_CHART_CRDS}/{kind.plural}.yaml", functools.partial(chart_crd, kind)) for kind in crdgen.KINDS),
    ("docs/reference.md", docgen.reference),
    ("docs/reasons.md", docgen.reasons),
    ("docs/gateways.md", gatewaydoc.gateways),
    ("docs/troubleshooting.md", troubleshooting.page),
    ("docs/argocd/health.lua", argocd_health),
)
"""Generated files: path below the checkout, and what makes its text."""


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Return the exit code: 1 if ``--check`` found a difference."""
    parser = argparse.ArgumentParser(prog="generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 and name each file that differs")
    options = parser.parse_args(arguments)
    stale = False
    for name, make in OUTPUTS:
        path, text = root / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale = True
        if options.check:
            print(f"{name} differs from its source: run make generate, and commit it", file=sys.stderr)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
