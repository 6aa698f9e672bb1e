"""The Job that looks at LangSmith from a gateway's own namespace (``spec.verification.fromNamespace``).

It holds no key and no token. Its pod carries the labels by which the workload selects its pods, so that the same
NetworkPolicies hold for it, and is never ready, so that no Service sends it requests (ADR 0016).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway_telemetry.adapters import CA_KEY
from gateway_telemetry.api import meta
from gateway_telemetry.api.conditions import Finding, bounded, unknown
from gateway_telemetry.api.reasons import BY_REASON, Reason
from gateway_telemetry.plan.gateways import GatewayPlan
from gateway_telemetry.plan.reference import CA_SUFFIX
from gateway_telemetry.plan.store import Gateway
from gateway_telemetry.plan.turns import requested
from gateway_telemetry.plan.views import MANAGED_BY, MANAGED_BY_LABEL, Workload
from gateway_telemetry.plan.writes import secret_name

DEADLINE_SECONDS = 120
"""How long a Job may take, the pull of the image included."""
KEPT_SECONDS = 300
"""How long a Job that has ended is kept, for whoever wants to read its log."""
CONTAINER = "probe"
JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
NEVER_READY = f"{meta.GROUP}/never-ready"
_CA_DIRECTORY = "/etc/gateway-telemetry-ca"


@dataclass(frozen=True)
class Program:
    """What runs in the Job.

    Attributes:
        image: the operator's own.
        pull_policy: as of the operator's Deployment.
        insecure_allow_loopback: developer flag of the operator, handed on.
    """

    image: str
    pull_policy: str = "IfNotPresent"
    insecure_allow_loopback: bool = False


@dataclass(frozen=True)
class Look:
    """One look that is to be made, at most once.

    Attributes:
        hash: of all that it depends on; ``status.vantage.hash`` once its verdict is there.
        name: of the Job.
        job: the whole object.
    """

    hash: str
    name: str
    job: Mapping[str, Any]


def wanted(view: Gateway) -> bool:
    """Tell whether a gateway asks for a look from its namespace."""
    return view.spec is not None and view.spec.verification is not None and view.spec.verification.from_namespace


def look_of(view: Gateway, plan: GatewayPlan, program: Program) -> Look | None:
    """Return the look that a gateway needs; None while it is not known where to, or no workload carries it."""
    carrying = [item for item in plan.sinks if item.state in ("Programmed", "RollingOut")]
    if plan.connection is None or plan.endpoint is None or not carrying:
        return None
    workload = carrying[0].workload
    text = "\0".join((view.uid, plan.connection.hash, program.image, workload.pods, requested(view) or ""))
    hash_ = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"gateway-telemetry-probe-{hash_}"
    return Look(hash_, name, _job(view, workload, plan.endpoint[0], name, program, ca=plan.connection.ca))


def _job(view: Gateway, workload: Workload, url: str, name: str, program: Program, *, ca: bool) -> dict[str, Any]:
    arguments = ["probe-job", f"--url={url}", "--termination-log=/dev/termination-log"]
    if ca:
        arguments.append(f"--ca={_CA_DIRECTORY}/{CA_KEY}")
    if url.startswith("http://"):
        arguments.append("--allow-plaintext")
    if program.insecure_allow_loopback:
        arguments.append("--insecure-allow-loopback")
    ours = {MANAGED_BY_LABEL: MANAGED_BY}
    container = {
        "name": CONTAINER,
        "image": program.image,
        "imagePullPolicy": program.pull_policy,
        "args": arguments,
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "ca", "mountPath": _CA_DIRECTORY, "readOnly": True}],
    }
    pod = {
        "activeDeadlineSeconds": DEADLINE_SECONDS,
        "automountServiceAccountToken": False,
        "containers": [container],
        "enableServiceLinks": False,
        "readinessGates": [{"conditionType": NEVER_READY}],
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "ca", "projected": {"sources": _ca_sources(view, workload)}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": view.namespace,
            "labels": ours,
            "annotations": {meta.OWNER_ANNOTATION: f"{view.namespace}/{view.name}"},
            "ownerReferences": [
                {
                    "apiVersion": f"{meta.GROUP}/{meta.VERSION}",
                    "kind": "GatewayTelemetry",
                    "name": view.name,
                    "uid": view.uid,
                }
            ],
        },
        "spec": {
            "activeDeadlineSeconds": DEADLINE_SECONDS,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": {"labels": {**_selected(workload.pods), **ours}}, "spec": pod},
        },
    }


def _ca_sources(view: Gateway, workload: Workload) -> list[dict[str, Any]]:
    """Return where the CA's copy for the gateway lies; both are optional, as not every target has a CA."""
    items = [{"key": CA_KEY, "path": CA_KEY}]
    reference = view.spec.install.reference if view.spec is not None else None
    if reference is not None:
        return [{"configMap": {"name": reference.secret_name + CA_SUFFIX, "items": items, "optional": True}}]
    name = secret_name(workload.kind, workload.name)
    return [{"secret": {"name": name, "items": items, "optional": True}}]


def _selected(selector: str) -> dict[str, str]:
    """Return the labels that a selector asks for by equality."""
    equal = (part for part in selector.split(",") if "=" in part and "!=" not in part and " " not in part)
    pairs = (part.partition("=") for part in equal)
    return {key: value for key, _, value in pairs}


def remembered(view: Gateway, hash_: str) -> Finding | None:
    """Return the verdict of a look that was made before, if there is one."""
    if (view.status.get("vantage") or {}).get("hash") != hash_:
        return None
    for item in view.status.get("conditions") or ():
        if item.get("type") == "Reachable" and item.get("reason") in BY_REASON:
            return Finding("Reachable", item["status"], Reason(item["reason"]), item.get("message") or "")
    return None


def under_way(namespace: str) -> Finding:
    """Return that a Job is looking."""
    return unknown("Reachable", Reason.PENDING, f"A Job looks at LangSmith from namespace {namespace}.")


def switched_off() -> Finding:
    """Return that the operator may not start Jobs."""
    return unknown("Reachable", Reason.VANTAGE_OFF)


def failed(namespace: str, why: str) -> Finding:
    """Return that a Job gave no verdict."""
    entry = BY_REASON[Reason.VANTAGE_FAILED]
    return unknown("Reachable", Reason.VANTAGE_FAILED, f"The Job in namespace {namespace} {why}. {entry.action}")


def seen(namespace: str, reason: Reason, message: str, *, reached: bool) -> Finding:
    """Return what a Job saw; what the operator could not know of its own network is certain of the gateway's."""
    return Finding(
        "Reachable", "True" if reached else "False", reason, bounded(f"From namespace {namespace}: {message}")
    )
