"""The troubleshooting page: what one sees, what it means, what to do, and the command that shows whether it worked.

Meaning and action come from the table of reasons; what people see in the gateway's log or in LangSmith, and the
commands, stand here. The faults at its end are those of ``tests/bench/fault_rows.py``, which a test plays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.fault_rows import ROWS, Row

from gateway_telemetry.api.reasons import TABLE, Reason, ReasonEntry, Severity

_NOTE = (
    "<!-- Generated from operator/gateway_telemetry/api, hack/troubleshooting.py and tests/bench/fault_rows.py by "
    "`make generate`. Do not edit. -->\n"
)
_INTRO = """
# Troubleshooting

Begin with what the objects say; the message names the field, the value and what to do:

```sh
kubectl get lst,gt -A -o wide
kubectl describe gt NAME -n NAMESPACE
```

Conditions build on each other. The first that is not `True` is the one to look at: `Accepted` (the spec is usable),
`ResolvedRefs` (what it names is there), `Programmed` (the workloads run with the settings), `Reachable`,
`Authenticated` and `Ingesting` (LangSmith, the key, a canary that was read back), `Delivered` (this gateway's own
traces). To have the operator look at once:

```sh
kubectl annotate gt NAME -n NAMESPACE --overwrite gatewaytelemetry.dev/requestedAt="$(date -u +%FT%TZ)"
```

`gateway-telemetry check lst/NAME -n NAMESPACE` walks the way to LangSmith step by step from your own machine, and
`--url` does so without a cluster ([verification.md](verification.md)).

## No condition is red, and traces are missing

| what you see | what it is | what to do |
|---|---|---|
| `Delivered` is `Unknown`, `NoTraffic`, and the gateway serves requests | Its spans continue the traces of callers \
whose own spans never reach LangSmith: they are answered with 200 and dropped. | \
`gateway-telemetry check gt/NAME --through URL` shows it; [verification.md](verification.md#orphans) says what each \
gateway supports against it. |
| The same, and the gateway exports nothing | Tracing is off or sampled away in the gateway's own configuration. | \
Look at [gateways.md](gateways.md) for what must be switched on there. |
| `Delivered` is `True`, and traces stopped since | `status.evidence.lastTraceTime` gets older. Usage limits accept \
spans and drop them. | Ask for a look (above): a canary shows it as `NotVisible`. |
| Traces are there without prompts | The gateway leaves them out. | Set `spec.capture.content: true`. |
"""

_SECTIONS: tuple[tuple[str, str, str], ...] = (
    ("Accepted", "The spec", "Nothing is written for the object until then; running gateways keep what they have."),
    ("ResolvedRefs", "What it refers to", "Running gateways keep what they have; nothing new is written."),
    ("Programmed", "The gateway's workloads", "`status.sinks` says it for each workload."),
    ("Reachable", "The way to LangSmith", "No new traces arrive; gateways serve their requests all the same."),
    ("Authenticated", "The key", "Exports fail with 401 or 403; gateways serve their requests all the same."),
    ("Ingesting", "Ingest and reading back", "The key is good, and the canary is not where it should be."),
    (
        "Delivered",
        "This gateway's traces",
        "LangSmith is well, and this gateway's traces are not where they should be.",
    ),
    ("Producing", "What the gateway shows", ""),
    ("Suspended", "At rest", ""),
    ("Ready", "Afterwards", ""),
)

_CHECK = "gateway-telemetry check lst/NAME -n NAMESPACE"
_TARGET = "kubectl get lst NAME -n NAMESPACE -o yaml"
_GATEWAY = "kubectl get gt NAME -n NAMESPACE -o yaml"
_SOURCE = "kubectl get secret SECRET -n NAMESPACE --show-labels"
_KEY_SHAPE = "kubectl get secret SECRET -n NAMESPACE -o jsonpath='{.data.KEY}' | base64 -d | head -c 8"
_CA = "kubectl get configmap NAME -n NAMESPACE -o jsonpath='{.data.ca\\.crt}' | openssl x509 -noout -subject -enddate"
_ENV = "kubectl set env deployment/NAME -n NAMESPACE --list"
_CERTIFICATE = "openssl s_client -connect HOST:PORT -servername HOST </dev/null | openssl x509 -noout -text"
_DNS = "kubectl exec -n NAMESPACE deploy/GATEWAY -- getent hosts HOST"
_ROLLOUT = "kubectl rollout status deployment/NAME -n NAMESPACE"
_INFO = "curl -sS -o /dev/null -w '%{http_code} %{content_type}\\n' API_URL/info"
_EVIDENCE = "kubectl get gt NAME -n NAMESPACE -o jsonpath='{.status.evidence}'"

_BY_CONDITION: Mapping[str, str] = {
    "Accepted": _TARGET,
    "ResolvedRefs": _SOURCE,
    "Programmed": _GATEWAY,
    "Reachable": _CHECK,
    "Authenticated": _CHECK,
    "Ingesting": _CHECK,
    "Delivered": _EVIDENCE,
    "Producing": _EVIDENCE,
    "Suspended": _GATEWAY,
    "Ready": _GATEWAY,
}
_COMMANDS: Mapping[str, tuple[Reason, ...]] = {
    _KEY_SHAPE: (Reason.KEY_EMPTY, Reason.KEY_MALFORMED, Reason.KEY_DOUBLE_ENCODED, Reason.KEY_LEGACY),
    _CA: (
        Reason.CA_BUNDLE_NOT_FOUND,
        Reason.CA_BUNDLE_KEY_MISSING,
        Reason.CA_BUNDLE_INVALID,
        Reason.CA_BUNDLE_HAS_PRIVATE_KEY,
    ),
    _TARGET: (Reason.PROJECT_NOT_ALLOWED, Reason.TARGET_NOT_READY),
    "kubectl get lst -A": (Reason.TARGET_NOT_FOUND,),
    "kubectl get deployments -n NAMESPACE --show-labels": (Reason.NO_MATCHING_WORKLOADS, Reason.CONFLICTED),
    _ENV: (
        Reason.ENV_CONFLICT,
        Reason.DUPLICATE_ENV,
        Reason.FOREIGN_HEADERS,
        Reason.TRACING_DISABLED,
        Reason.CA_BUNDLE_OVERRIDDEN,
        Reason.ENV_FROM_UNREADABLE,
        Reason.NOT_REFERENCED,
    ),
    "kubectl get deployment NAME -n NAMESPACE -o yaml --show-managed-fields": (
        Reason.FIELD_OWNED_BY_OTHER,
        Reason.FOUGHT_OVER,
        Reason.MOUNT_CONFLICT,
    ),
    _ROLLOUT: (
        Reason.ROLLOUT_IN_PROGRESS,
        Reason.ROLLOUT_PAUSED,
        Reason.ROLLOUT_FAILED,
        Reason.ROLLOUT_BY_HAND,
        Reason.ROLLOUT_QUEUED,
        Reason.ROLLOUT_STOPPED,
        Reason.ROLLED_BACK,
        Reason.RESTART_NEEDED,
    ),
    _DNS: (Reason.DNS_NOT_FOUND, Reason.DNS_UNAVAILABLE, Reason.ADDRESS_NOT_ALLOWED),
    _CERTIFICATE: (
        Reason.CERTIFICATE_EXPIRES_SOON,
        Reason.TLS_EXPIRED,
        Reason.TLS_NOT_YET_VALID,
        Reason.TLS_WRONG_HOST,
        Reason.TLS_UNTRUSTED,
        Reason.TLS_INTERCEPTED,
        Reason.TLS_NOT_SPOKEN,
        Reason.TLS_FAILED,
    ),
    _INFO: (
        Reason.TLS_EXPECTED,
        Reason.ANSWERED_BY_UI,
        Reason.METHOD_NOT_ALLOWED,
        Reason.EMPTY_ANSWER,
        Reason.NOT_LANGSMITH,
        Reason.REDIRECTED,
        Reason.API_NOT_FOUND,
        Reason.BLOCKED_IN_FRONT,
        Reason.SERVER_ERROR,
    ),
    "gateway-telemetry check gt/NAME -n NAMESPACE --through URL": (Reason.ORPHANS_DROPPED, Reason.NO_TRAFFIC),
    "kubectl describe job -n NAMESPACE -l app.kubernetes.io/managed-by": (Reason.VANTAGE_FAILED,),
    "kubectl auth can-i --list -n NAMESPACE --as system:serviceaccount:OPERATOR_NAMESPACE:OPERATOR": (
        Reason.RBAC_DENIED,
    ),
}
_SYMPTOMS: Mapping[Reason, str] = {
    Reason.INSECURE_SCHEME: "Nothing arrives and nothing fails: LangSmith's service does not take http://.",
    Reason.UI_URL_NOT_API_URL: "The URL was copied from the browser: `eu.smith…` instead of `eu.api.smith…`.",
    Reason.DNS_NOT_FOUND: "Exports fail with `Name or service not known` or `ENOTFOUND`.",
    Reason.DNS_UNAVAILABLE: "Exports fail with `Temporary failure in name resolution` or `EAI_AGAIN`.",
    Reason.CONNECTION_REFUSED: "Exports fail with `Connection refused` or `ECONNREFUSED`.",
    Reason.NO_ROUTE: "Exports run into their timeout: packets go nowhere.",
    Reason.CONNECTION_CUT: "Exports fail with `Connection reset by peer` or `Remote end closed connection`.",
    Reason.ANSWER_TIMEOUT: "Exports run into their timeout after they were sent.",
    Reason.TLS_EXPIRED: "Exports fail with `certificate has expired`, for every gateway at once.",
    Reason.TLS_WRONG_HOST: "Exports fail with `Hostname mismatch` or `ERR_TLS_CERT_ALTNAME_INVALID`.",
    Reason.TLS_UNTRUSTED: "Exports fail with `unable to get local issuer certificate` or `x509: certificate signed by "
    "unknown authority`.",
    Reason.TLS_INTERCEPTED: "Exports to the SaaS fail with `self-signed certificate in certificate chain`.",
    Reason.TLS_NOT_SPOKEN: "Exports fail with `wrong version number` or `does not look like a TLS handshake`.",
    Reason.TLS_EXPECTED: "Exports fail with status 400, `The plain HTTP request was sent to HTTPS port`.",
    Reason.ANSWERED_BY_UI: "Exports fail with 405, or succeed with 200 and a page of HTML; a browser shows LangSmith.",
    Reason.METHOD_NOT_ALLOWED: "Exports fail with `405 Not Allowed` and a page of nginx.",
    Reason.REDIRECTED: "Exports fail with 301 or 302, or with a page of HTML.",
    Reason.API_NOT_FOUND: "Exports fail with 404; the Collector says `Dropping data`.",
    Reason.SERVER_ERROR: "Exports fail with 500, 502, 503 or 504, and are tried again.",
    Reason.RATE_LIMITED: "Exports fail with 429, and are tried again.",
    Reason.KEY_REJECTED: 'Exports fail with 401, `{"error":"Unauthorized"}`.',
    Reason.KEY_FORBIDDEN: 'Exports fail with 401, reads with 403, `{"error":"Forbidden"}`.',
    Reason.KEY_LEGACY: "Exports fail with 401, `Using legacy API key`.",
    Reason.WORKSPACE_REQUIRED: "Requests fail with 403, `org_scoped_key_requires_workspace`.",
    Reason.WORKSPACE_MISMATCH: "Exports succeed; the traces are in another workspace, or nowhere that you can see.",
    Reason.NOT_VISIBLE: "Exports succeed with 200, and nothing appears.",
    Reason.WRONG_PROJECT: "Exports succeed with 200; the intended project stays empty and another one fills.",
    Reason.ORPHANS_DROPPED: "Exports succeed with 200, and nothing appears as long as callers send `traceparent`.",
    Reason.SPANS_REJECTED: "Exports succeed with 200; some exporters log `partial success`.",
    Reason.OTLP_ROUTE_MISSING: "Exports fail with 404, while the web app and the API work.",
    Reason.BODY_TOO_LARGE: "Exports fail with 413.",
    Reason.ENCODING_REFUSED: "Exports fail with 415.",
    Reason.SPEND_CAP: "Exports fail with 402.",
    Reason.NO_TRAFFIC: "The project shows no trace of this gateway.",
    Reason.OLD_CONFIG: "The project shows traces from before the last change only.",
}


def page() -> str:
    """Return the page."""
    lines = [_NOTE + _INTRO.rstrip()]
    for condition, title, text in _SECTIONS:
        rows = [entry for entry in TABLE if _section(entry) == condition and _is_trouble(entry)]
        if not rows:
            continue
        lines += ["", f"## {title}", *(["", text] if text else [])]
        for entry in sorted(rows, key=lambda entry: str(entry.reason)):
            lines += _entry(entry)
    return "\n".join([*lines, "", *_faults(list(ROWS.values()))]) + "\n"


def _is_trouble(entry: ReasonEntry) -> bool:
    return entry.severity is not Severity.OK or bool(entry.action)


def _section(entry: ReasonEntry) -> str:
    return "Ready" if entry.reason is Reason.PENDING else entry.conditions[0]


def _entry(entry: ReasonEntry) -> list[str]:
    conditions = ", ".join(f"`{item}`" for item in entry.conditions)
    symptom = _SYMPTOMS.get(entry.reason)
    command = next((text for text, reasons in _COMMANDS.items() if entry.reason in reasons), None)
    return [
        "",
        f"### `{entry.reason}`",
        "",
        f"- **Symptom**: {conditions} {'is' if len(entry.conditions) == 1 else 'are'} `{entry.status}`."
        + (f" {symptom}" if symptom else ""),
        f"- **Meaning**: {entry.meaning}",
        f"- **What to do**: {entry.action or _nothing(entry)}",
        f"- **Verify**: `{command or _BY_CONDITION[_section(entry)]}`",
    ]


def _nothing(entry: ReasonEntry) -> str:
    if entry.severity is Severity.WAITING:
        return "Wait: this solves itself."
    return "Nothing, unless you want it otherwise."


def _faults(rows: Sequence[Row]) -> list[str]:
    lines = [
        "## Which fault shows as what",
        "",
        "Each row is played against a running operator by `tests/cluster/test_fault_matrix.py`: the fault is on when",
        "the target is written, and what the conditions say is compared with what LangSmith really holds. A probe",
        "finds a fault at once when the target changes and otherwise within one `probeInterval`; `NotVisible` takes",
        "the 90 s that a canary may take to appear.",
        "",
        "| fault | target | gateway |",
        "|---|---|---|",
    ]
    for row in rows:
        type_, status, reason = row.target.split()
        gateway_status, gateway_reason = row.gateway.split()
        fault = row.fault[0].upper() + row.fault[1:]
        lines.append(
            f"| {fault} | `{type_}` = {status}, `{reason}` | `Delivered` = {gateway_status}, `{gateway_reason}` |"
        )
    return lines
