"""Write, or with ``--check`` compare, every file that is generated from the models and tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from gateway_telemetry.api.reasons import TABLE, Severity
from hack import crdgen, docgen

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Generated from operator/gateway_telemetry/api by `make generate`. Do not edit.\n"


def crd_text(kind: crdgen.Kind) -> str:
    """Return the CRD as YAML."""
    return HEADER + yaml.safe_dump(crdgen.crd(kind), sort_keys=False, width=110, allow_unicode=True)


def health_lua() -> str:
    """Return Argo CD's health script for both kinds; https://argo-cd.readthedocs.io/en/stable/operator-manual/health/."""
    acting = sorted(str(entry.reason) for entry in TABLE if entry.severity is Severity.ACTION)
    lines = ["-- " + HEADER.removeprefix("# ").rstrip(), "local degraded = {"]
    lines += [f'  ["{reason}"] = true,' for reason in acting]
    lines += [
        "}",
        "local health = { status = 'Progressing', message = 'Waiting for the operator' }",
        "if obj.status == nil or obj.status.conditions == nil then return health end",
        "if obj.status.observedGeneration ~= obj.metadata.generation then return health end",
        "for _, condition in ipairs(obj.status.conditions) do",
        "  if condition.type == 'Suspended' and condition.status == 'True' then",
        "    return { status = 'Suspended', message = condition.message }",
        "  end",
        "end",
        "for _, condition in ipairs(obj.status.conditions) do",
        "  if condition.type == 'Ready' then",
        "    health.message = condition.message",
        "    if condition.status == 'True' then health.status = 'Healthy' end",
        "    if condition.status == 'False' and degraded[condition.reason] then health.status = 'Degraded' end",
        "  end",
        "end",
        "return health",
    ]
    return "\n".join(lines) + "\n"


def outputs() -> dict[str, Callable[[], str]]:
    """Return the generated files by path below the checkout."""
    result: dict[str, Callable[[], str]] = {}
    for kind in crdgen.KINDS:
        result[f"crds/gatewaytelemetry.dev_{kind.plural}.yaml"] = lambda kind=kind: crd_text(kind)  # type: ignore[misc]
    result["docs/reference.md"] = docgen.reference
    result["docs/reasons.md"] = docgen.reasons
    result["docs/argocd/health.lua"] = health_lua
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file differs")
    options = parser.parse_args()
    stale = []
    for name, make in outputs().items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {name}")
    if options.check and stale:
        print("generated files differ from their source, run make generate: " + ", ".join(stale), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
