"""The workloads and other objects that settings are written into, and their rollouts."""

from __future__ import annotations

from gateway_telemetry.api.reasons.names import Reason, Severity
from gateway_telemetry.api.reasons.rows import ReasonEntry, bad, wait

ROWS: tuple[ReasonEntry, ...] = (
    bad(
        Reason.TENANT_MISMATCH,
        "Programmed",
        "The control plane's key belongs to another tenant than install.controlPlane.tenant names.",
        "Put a key of that tenant into the Secret, or correct the tenant's name.",
    ),
    bad(
        Reason.CONTROL_PLANE_CONFLICT,
        "Programmed",
        "The tenant has an OTEL config that this operator did not write, or one that it cannot keep whole.",
        "Look at AI Gateway > Controls > Settings > OTEL Config; switch the trace export off there, and it is "
        "written within minutes.",
    ),
    bad(
        Reason.CONTROL_PLANE_KEY_REJECTED,
        "Programmed",
        "401 or 403: the control plane does not know its key, or the key may not change gateway settings.",
        "Put a key of a tenant admin or of a virtual account with that right into the Secret.",
    ),
    bad(
        Reason.CONTROL_PLANE_REFUSED,
        "Programmed",
        "What answered is not TrueFoundry's API, or did not take the settings.",
        "Check install.controlPlane.url, and that the control plane belongs to chart 0.80 or later.",
    ),
    wait(
        Reason.CONTROL_PLANE_UNAVAILABLE,
        "Programmed",
        "The control plane cannot be reached, is overloaded or fails; what stands there stays, and it is tried again.",
        "If it lasts, check the way from the operator to it: DNS, egress, the CA of its certificate.",
    ),
    bad(
        Reason.NO_MATCHING_WORKLOADS,
        "Accepted",
        "The selector matches no Deployment in this namespace.",
        "Compare install.inject.workloads.selector with kubectl get deployments --show-labels.",
    ),
    bad(
        Reason.CONFLICTED,
        "Accepted",
        "Another GatewayTelemetry holds the workload: the one that has it keeps it, else the older one.",
        "Remove one of the two, or narrow a selector.",
        also=("Programmed",),
    ),
    bad(
        Reason.CONTAINER_NOT_FOUND,
        "Programmed",
        "The workload has no container of that name.",
        "Set install.inject.container to the container that exports traces.",
    ),
    bad(
        Reason.CONTAINER_AMBIGUOUS,
        "Programmed",
        "The workload has several containers, none with the adapter's usual name.",
        "Set install.inject.container.",
    ),
    bad(
        Reason.ENV_CONFLICT,
        "Programmed",
        "A variable that the operator would write, or that would override it, is already on the container.",
        "Remove it from the gateway's chart or manifest; nothing was written.",
    ),
    bad(
        Reason.DUPLICATE_ENV,
        "Programmed",
        "The container lists a variable of the exporter twice.",
        "Remove one of the two entries.",
    ),
    bad(
        Reason.FOREIGN_HEADERS,
        "Programmed",
        "OTEL_EXPORTER_OTLP_HEADERS is set for another backend; some SDKs would send its headers to LangSmith too.",
        "Use the variables of the other signals (OTEL_EXPORTER_OTLP_METRICS_HEADERS, ..._LOGS_HEADERS) there.",
    ),
    bad(
        Reason.TRACING_DISABLED,
        "Programmed",
        "A variable on the container switches tracing off.",
        "Remove it from the gateway's chart or manifest.",
    ),
    bad(
        Reason.CA_BUNDLE_OVERRIDDEN,
        "Programmed",
        "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE on the container silently beats the exporter's own CA setting.",
        "Add LangSmith's CA to that bundle and remove caBundleRef, or remove the variable.",
    ),
    bad(
        Reason.ENV_FROM_UNREADABLE,
        "Programmed",
        "The container takes variables from a Secret or ConfigMap that the operator may not read.",
        "Grant get on it, so that the names of its keys can be compared; nothing was written.",
    ),
    bad(
        Reason.MOUNT_CONFLICT,
        "Programmed",
        "A volume or mount of the operator's name or path already exists and is not the operator's.",
        "Rename it in the gateway's chart or manifest.",
    ),
    bad(
        Reason.FIELD_OWNED_BY_OTHER,
        "Programmed",
        "Another field manager took over a field while it was being written.",
        "Stop that manager from setting the field; the message names both.",
    ),
    bad(
        Reason.SECRET_NAME_TAKEN,
        "Programmed",
        "A Secret of the name that the operator needs exists and is not the operator's.",
        "Rename or delete that Secret.",
    ),
    wait(Reason.NOT_WRITTEN, "Programmed", "The settings are not on every matched workload yet."),
    wait(
        Reason.TARGET_SUSPENDED,
        "Programmed",
        "The target's spec.suspend is set, so the settings are not written; what the workload has stays.",
        "Remove spec.suspend from the target to go on.",
    ),
    wait(
        Reason.ROLLOUT_IN_PROGRESS,
        "Programmed",
        "The settings are written; pods are being replaced.",
        "Wait, or follow it with kubectl rollout status.",
    ),
    wait(
        Reason.ROLLOUT_PAUSED,
        "Programmed",
        "The settings are written; the Deployment is paused, so its pods keep the old ones.",
        "Resume it: kubectl rollout resume deployment NAME.",
    ),
    bad(
        Reason.ROLLOUT_FAILED,
        "Programmed",
        "The settings are written; the Deployment passed its progress deadline.",
        "Look at the new pods: kubectl describe pods.",
    ),
    wait(
        Reason.ROLLOUT_BY_HAND,
        "Programmed",
        "The settings are written; the update strategy (OnDelete, a partition) leaves old pods until somebody acts.",
        "Delete the old pods, or lower the partition, when it suits you.",
    ),
    wait(
        Reason.ROLLOUT_QUEUED,
        "Programmed",
        "As many rollouts as the operator's configuration allows are under way; this one waits, the oldest goes first.",
    ),
    bad(
        Reason.ROLLOUT_STOPPED,
        "Programmed",
        "A rollout of the same target's settings has failed elsewhere, so no further workload is changed.",
        "Look at the workload that the message names; a new spec, or the annotation gatewaytelemetry.dev/requestedAt, "
        "goes on.",
    ),
    bad(
        Reason.ROLLED_BACK,
        "Programmed",
        "The new pods failed, and what stood there before was written back.",
        "Change what made them fail; the annotation gatewaytelemetry.dev/requestedAt with a new value tries again.",
    ),
    ReasonEntry(
        Reason.AWAITING_APPROVAL,
        ("Programmed", "Ready"),
        "Unknown",
        Severity.WAITING,
        "rollout.policy is Manual: the change waits until somebody approves its hash.",
        "Set the annotation gatewaytelemetry.dev/approvedHash to the hash that the message names.",
    ),
    wait(
        Reason.RESTART_NEEDED,
        "Programmed",
        "The referenced Secret has changed; pods read it only when they start.",
        "Restart them: kubectl rollout restart, or set rollout.policy: Automatic.",
    ),
    bad(
        Reason.NOT_REFERENCED,
        "Programmed",
        "The pod template does not refer to the Secret of install.reference.secretName.",
        "Let the gateway's chart refer to it, e.g. envFrom: [{secretRef: {name: NAME, optional: true}}].",
    ),
    bad(
        Reason.RESOURCE_NOT_FOUND,
        "Programmed",
        "The object of install.resource.ref does not exist, or the cluster does not know its kind.",
        "Compare name and namespace, or install the CustomResourceDefinitions that the message names.",
    ),
    bad(
        Reason.RESOURCE_INVALID,
        "Programmed",
        "The object of install.resource.ref does not hold what the settings are added to: a key of the ConfigMap, "
        "valid YAML, a pipeline.",
        "Correct the object, or the names in the GatewayTelemetry, as the message says.",
    ),
    bad(
        Reason.RESOURCE_CONFLICT,
        "Programmed",
        "The object of install.resource.ref already holds something of the name that the operator needs.",
        "Remove or rename what the message names; it is not written over.",
    ),
    bad(
        Reason.RESOURCE_GENERATED,
        "Programmed",
        "The ConfigMap of install.resource.ref is generated by a controller, which would undo every change.",
        "Refer to the object that it is generated from, as the message says.",
    ),
    bad(
        Reason.FOUGHT_OVER,
        "Programmed",
        "Somebody takes the settings away again and again; the operator has stopped putting them back.",
        "Stop the field manager that the message names from doing so, or use install.reference.",
    ),
)
