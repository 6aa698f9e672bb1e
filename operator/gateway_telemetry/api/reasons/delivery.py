"""Traces that were read back."""

from __future__ import annotations

from gateway_telemetry.api.reasons.names import Reason
from gateway_telemetry.api.reasons.rows import READ_BACK, ReasonEntry, bad, ok, unsure

ROWS: tuple[ReasonEntry, ...] = (
    ok(Reason.INGESTED, ("Ingesting",), "A canary was sent and read back from the intended project."),
    ok(Reason.DELIVERED, ("Delivered",), "Traces of this gateway were read back from the intended project."),
    unsure(
        Reason.CANARY_OFF,
        ("Ingesting",),
        "spec.verification.canary.mode is Off.",
    ),
    unsure(
        Reason.NO_PROJECT,
        ("Ingesting",),
        "The target names no project, so there is none to send a canary to; the gateways' own traces are looked for.",
        "Set spec.project if a canary is wanted.",
    ),
    unsure(
        Reason.VANTAGE_OFF,
        ("Reachable",),
        "verification.fromNamespace is set, and the operator may start no Jobs.",
        "Set the chart's value verification.jobs.enabled, or take fromNamespace away.",
    ),
    unsure(
        Reason.VANTAGE_FAILED,
        ("Reachable",),
        "The Job that looks at LangSmith from the gateway's namespace gave no verdict.",
        "Look at it: kubectl describe job -n NAMESPACE -l app.kubernetes.io/managed-by=gateway-telemetry-operator; "
        "the annotation gatewaytelemetry.dev/requestedAt makes another.",
    ),
    ok(Reason.TRACES_SEEN, ("Producing",), "Traces of this gateway were read back, so it makes and exports spans."),
    unsure(
        Reason.NO_SIGNAL,
        ("Producing",),
        "This gateway shows nothing of its own about the spans that it makes; Delivered speaks of those that arrived.",
    ),
    unsure(
        Reason.NO_READ_KEY,
        READ_BACK,
        "The target names no key to read with, so nothing is claimed.",
        "Give spec.credentials.read.",
    ),
    unsure(
        Reason.READ_BACK_FAILED,
        READ_BACK,
        "The traces could not be looked for, so nothing is claimed.",
        "The message says what the read met.",
    ),
    bad(
        Reason.NOT_VISIBLE,
        "Ingesting",
        "LangSmith accepted the canary, and it did not appear in time.",
        "Look at usage limits of the workspace (spans beyond them are accepted and dropped), and at LangSmith's queue.",
    ),
    bad(
        Reason.WRONG_PROJECT,
        "Ingesting",
        "The traces were found in another project than the intended one.",
        "Look for what sets the project: the header langsmith-project, or langsmith.trace.session_name on the spans.",
        also=("Delivered",),
    ),
    bad(
        Reason.ORPHANS_DROPPED,
        "Delivered",
        "The gateway continues its callers' traces, and LangSmith drops spans whose parent it never receives.",
        "Let the gateway begin traces of its own (docs/verification.md says how), or send the callers' spans to the "
        "same project.",
    ),
    bad(
        Reason.SPANS_REJECTED,
        "Ingesting",
        "LangSmith answered 200 and rejected the span (OTLP partial success).",
        "Look at usage limits and at LangSmith's log.",
    ),
    bad(
        Reason.OTLP_ROUTE_MISSING,
        "Ingesting",
        "The API is there, and takes no OTLP traces at its path (404).",
        "LangSmith before 0.10 has no OTLP ingest: update it. A filter in front must let POST /api/v1/otel/ through.",
        also=("Authenticated",),
    ),
    bad(
        Reason.BODY_TOO_LARGE,
        "Ingesting",
        "413: a limit on the size of bodies is below even the canary's few hundred bytes.",
        "Raise frontend.maxBodySize, or the ingress controller's own limit (ingress-nginx: proxy-body-size).",
    ),
    bad(
        Reason.ENCODING_REFUSED,
        "Ingesting",
        "415: the server does not take OTLP in protobuf.",
        "Look at what stands in front of LangSmith; LangSmith takes application/x-protobuf.",
    ),
    bad(
        Reason.SPEND_CAP,
        "Ingesting",
        "402: a spend cap or an unpaid plan stops ingest.",
        "Raise the cap or settle the plan in LangSmith.",
    ),
    unsure(
        Reason.NO_TRAFFIC,
        ("Delivered",),
        "No trace of this gateway was found: it has had no traffic, or its traces do not arrive.",
        "Send a request through the gateway. If nothing comes then, its callers may send traceparent: spans whose "
        "parent LangSmith never receives are dropped.",
    ),
    unsure(
        Reason.OLD_CONFIG,
        ("Delivered",),
        "The newest trace of this gateway is from before its present settings.",
    ),
    unsure(
        Reason.NOT_STAMPED,
        ("Delivered",),
        "This gateway's traces cannot carry the operator's stamp, so they cannot be told from others.",
        "Look into the LangSmith project for the traces.",
    ),
)
