"""Every reason that a condition can carry, as data.

Code, the reference page, the troubleshooting page and Argo CD's health script read this one
table, so a reason cannot exist without a meaning and an answer to "what do I do now?".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How a person should take a reason.

    ``OK`` is the good state, ``WAITING`` solves itself, ``ACTION`` needs somebody (kstatus: Stalled),
    ``UNKNOWN`` is honest ignorance and never counts against Ready.
    """

    OK = "OK"
    WAITING = "Waiting"
    ACTION = "Action"
    UNKNOWN = "Unknown"


class Reason(StrEnum):
    """The closed set of reasons; the names are public API."""

    # good states
    ACCEPTED = "Accepted"
    RESOLVED = "Resolved"
    PROGRAMMED = "Programmed"
    READY = "Ready"
    # nothing known yet
    PENDING = "Pending"
    NOT_VERIFIED = "NotVerified"
    # the spec itself
    INVALID_SPEC = "InvalidSpec"
    INVALID_URL = "InvalidURL"
    MISSING_SCHEME = "MissingScheme"
    UNSUPPORTED_SCHEME = "UnsupportedScheme"
    INSECURE_SCHEME = "InsecureScheme"
    USER_INFO_NOT_ALLOWED = "UserInfoNotAllowed"
    QUERY_NOT_ALLOWED = "QueryNotAllowed"
    UI_URL_NOT_API_URL = "UIURLNotAPIURL"
    INVALID_BASE_PATH = "InvalidBasePath"
    HOST_NOT_ALLOWED = "HostNotAllowed"
    SERVICE_NOT_ALLOWED = "ServiceNotAllowed"
    SUSPENDED = "Suspended"
    # what the spec refers to
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 a reason, not a password
    SECRET_KEY_MISSING = "SecretKeyMissing"  # noqa: S105 a reason, not a password
    KEY_EMPTY = "KeyEmpty"
    KEY_MALFORMED = "KeyMalformed"
    KEY_DOUBLE_ENCODED = "KeyDoubleEncoded"
    KEY_LEGACY = "KeyLegacy"
    KEY_NOT_FOR_HOST = "KeyNotForHost"
    CA_BUNDLE_NOT_FOUND = "CABundleNotFound"
    CA_BUNDLE_KEY_MISSING = "CABundleKeyMissing"
    CA_BUNDLE_INVALID = "CABundleInvalid"
    CA_BUNDLE_HAS_PRIVATE_KEY = "CABundleContainsPrivateKey"
    TARGET_NOT_FOUND = "TargetNotFound"
    TARGET_NOT_READY = "TargetNotReady"
    PROJECT_MISSING = "ProjectMissing"
    PROJECT_NOT_ALLOWED = "ProjectNotAllowed"
    PROJECT_NOT_HEADER_SAFE = "ProjectNameNotHeaderSafe"
    PROJECT_UNSUPPORTED = "ProjectNameUnsupportedByAdapter"
    CA_BUNDLE_UNSUPPORTED = "CABundleUnsupportedByAdapter"
    CAPTURE_UNSUPPORTED = "CaptureUnsupportedByAdapter"
    ATTRIBUTES_UNSUPPORTED = "ResourceAttributesUnsupportedByAdapter"
    COLLECTOR_REQUIRED = "CollectorRequired"
    GATEWAY_VERSION_UNSUPPORTED = "GatewayVersionUnsupported"
    # the workloads
    NO_MATCHING_WORKLOADS = "NoMatchingWorkloads"
    CONFLICTED = "Conflicted"
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    CONTAINER_AMBIGUOUS = "ContainerAmbiguous"
    ENV_CONFLICT = "EnvConflict"
    DUPLICATE_ENV = "DuplicateEnv"
    FOREIGN_HEADERS = "ForeignHeadersWouldBeSent"
    TRACING_DISABLED = "TracingDisabledByEnv"
    CA_BUNDLE_OVERRIDDEN = "CABundleOverridden"
    ENV_FROM_UNREADABLE = "EnvFromUnreadable"
    MOUNT_CONFLICT = "MountConflict"
    FIELD_OWNED_BY_OTHER = "FieldOwnedByOther"
    SECRET_NAME_TAKEN = "SecretNameTaken"  # noqa: S105 a reason, not a password
    # a control plane outside of the cluster
    TENANT_MISMATCH = "TenantMismatch"
    CONTROL_PLANE_CONFLICT = "ControlPlaneConflict"
    CONTROL_PLANE_KEY_REJECTED = "ControlPlaneKeyRejected"
    CONTROL_PLANE_REFUSED = "ControlPlaneRefused"
    CONTROL_PLANE_UNAVAILABLE = "ControlPlaneUnavailable"
    # the rollout
    NOT_WRITTEN = "NotWritten"
    TARGET_SUSPENDED = "TargetSuspended"
    ROLLOUT_IN_PROGRESS = "RolloutInProgress"
    ROLLOUT_PAUSED = "RolloutPaused"
    ROLLOUT_FAILED = "RolloutFailed"
    ROLLOUT_BY_HAND = "RolloutByHand"
    ROLLOUT_QUEUED = "RolloutQueued"
    ROLLOUT_STOPPED = "RolloutStopped"
    ROLLED_BACK = "RolledBack"
    AWAITING_APPROVAL = "AwaitingApproval"
    RESTART_NEEDED = "RestartNeeded"
    NOT_REFERENCED = "NotReferenced"
    RESOURCE_NOT_FOUND = "ResourceNotFound"
    RESOURCE_INVALID = "ResourceInvalid"
    RESOURCE_CONFLICT = "ResourceConflict"
    RESOURCE_GENERATED = "ResourceGenerated"
    FOUGHT_OVER = "FoughtOver"
    # the way to LangSmith
    REACHABLE = "Reachable"
    CERTIFICATE_EXPIRES_SOON = "CertificateExpiresSoon"
    LICENSE_EXPIRED = "LicenseExpired"
    CLOCK_SKEW = "ClockSkew"
    NOT_PROBED = "NotProbed"
    DNS_NOT_FOUND = "DNSNotFound"
    DNS_UNAVAILABLE = "DNSUnavailable"
    ADDRESS_NOT_ALLOWED = "AddressNotAllowed"
    CONNECTION_REFUSED = "ConnectionRefused"
    NO_ROUTE = "NoRoute"
    PROXY_UNREACHABLE = "ProxyUnreachable"
    PROXY_REFUSED = "ProxyRefused"
    CONNECTION_CUT = "ConnectionCut"
    ANSWER_TIMEOUT = "AnswerTimeout"
    TLS_EXPIRED = "TLSCertificateExpired"
    TLS_NOT_YET_VALID = "TLSCertificateNotYetValid"
    TLS_WRONG_HOST = "TLSWrongHost"
    TLS_UNTRUSTED = "TLSUntrusted"
    TLS_INTERCEPTED = "TLSIntercepted"
    TLS_NOT_SPOKEN = "TLSNotSpoken"
    TLS_FAILED = "TLSFailed"
    TLS_EXPECTED = "TLSExpected"
    # what answers there
    ANSWERED_BY_UI = "AnsweredByUI"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    EMPTY_ANSWER = "EmptyAnswer"
    NOT_LANGSMITH = "NotLangSmith"
    REDIRECTED = "Redirected"
    API_NOT_FOUND = "APINotFound"
    BLOCKED_IN_FRONT = "BlockedInFront"
    SERVER_ERROR = "ServerError"
    RATE_LIMITED = "RateLimited"
    INFO_NEEDS_KEY = "InfoNeedsKey"
    # the key
    AUTHENTICATED = "Authenticated"
    KEY_REJECTED = "KeyRejected"
    KEY_FORBIDDEN = "KeyForbidden"
    WORKSPACE_REQUIRED = "WorkspaceRequired"
    WORKSPACE_MISMATCH = "WorkspaceMismatch"
    WORKSPACE_UNVERIFIED = "WorkspaceUnverified"
    # traces that were read back
    INGESTED = "Ingested"
    DELIVERED = "Delivered"
    CANARY_OFF = "CanaryOff"
    NO_READ_KEY = "NoReadKey"
    READ_BACK_FAILED = "ReadBackFailed"
    NOT_VISIBLE = "NotVisible"
    WRONG_PROJECT = "WrongProject"
    SPANS_REJECTED = "SpansRejected"
    ORPHANS_DROPPED = "OrphanSpansDropped"
    OTLP_ROUTE_MISSING = "OTLPRouteMissing"
    BODY_TOO_LARGE = "BodyTooLarge"
    ENCODING_REFUSED = "EncodingRefused"
    SPEND_CAP = "SpendCap"
    NO_PROJECT = "NoProject"
    VANTAGE_OFF = "VantageOff"
    VANTAGE_FAILED = "VantageFailed"
    TRACES_SEEN = "TracesSeen"
    NO_SIGNAL = "NoSignal"
    NO_TRAFFIC = "NoTraffic"
    OLD_CONFIG = "OldConfig"
    NOT_STAMPED = "NotStamped"
    # the cluster
    RBAC_DENIED = "RBACDenied"
    READ_ONLY = "ReadOnly"
    WRITE_FAILED = "WriteFailed"
    RESTORING = "Restoring"
    UNINSTALLED = "Uninstalled"


@dataclass(frozen=True)
class ReasonEntry:
    """One row of the table.

    Attributes:
        conditions: condition types that carry the reason.
        status: the status it comes with.
        meaning: one sentence, for the troubleshooting page.
        action: what to do, one sentence; empty when there is nothing to do.
    """

    reason: Reason
    conditions: tuple[str, ...]
    status: str
    severity: Severity
    meaning: str
    action: str = ""


def _ok(reason: Reason, conditions: tuple[str, ...], meaning: str) -> ReasonEntry:
    return ReasonEntry(reason, conditions, "True", Severity.OK, meaning)


def _bad(reason: Reason, condition: str, meaning: str, action: str, also: tuple[str, ...] = ()) -> ReasonEntry:
    return ReasonEntry(reason, (condition, *also, "Ready"), "False", Severity.ACTION, meaning, action)


def _wait(reason: Reason, condition: str, meaning: str, action: str = "") -> ReasonEntry:
    return ReasonEntry(reason, (condition, "Ready"), "False", Severity.WAITING, meaning, action)


def _warns(reason: Reason, condition: str, meaning: str, action: str) -> ReasonEntry:
    return ReasonEntry(reason, (condition,), "True", Severity.OK, meaning, action)


def _unsure(reason: Reason, conditions: tuple[str, ...], meaning: str, action: str = "") -> ReasonEntry:
    return ReasonEntry(reason, conditions, "Unknown", Severity.UNKNOWN, meaning, action)


def _passing(reason: Reason, meaning: str, action: str) -> ReasonEntry:
    """Return a row for what any request to LangSmith may meet, and what often solves itself."""
    return ReasonEntry(reason, (*_REQUESTS, "Ready"), "False", Severity.WAITING, meaning, action)


def _wrong(reason: Reason, meaning: str, action: str) -> ReasonEntry:
    """Return a row for what any request to LangSmith may meet, and what somebody must change."""
    return ReasonEntry(reason, (*_REQUESTS, "Ready"), "False", Severity.ACTION, meaning, action)


_REQUESTS = ("Reachable", "Authenticated", "Ingesting")
_READ_BACK = ("Ingesting", "Delivered")
_UNPROVEN = ("Reachable", "Authenticated", "Ingesting", "Producing", "Delivered")

TABLE: tuple[ReasonEntry, ...] = (
    _ok(Reason.ACCEPTED, ("Accepted",), "The spec is valid and its host is allowed."),
    _ok(Reason.RESOLVED, ("ResolvedRefs",), "All that the spec refers to was found and is usable."),
    _ok(Reason.PROGRAMMED, ("Programmed",), "Every matched workload carries the settings and has rolled out."),
    _ok(Reason.READY, ("Ready",), "Everything that counts towards Ready holds."),
    ReasonEntry(
        Reason.PENDING,
        ("Accepted", "ResolvedRefs", "Programmed", *_UNPROVEN, "Ready"),
        "Unknown",
        Severity.WAITING,
        "The operator has not come to this yet, or an earlier condition must hold first.",
    ),
    ReasonEntry(
        Reason.NOT_VERIFIED,
        _UNPROVEN,
        "Unknown",
        Severity.UNKNOWN,
        "Nothing is looked at here (render, or an operator with --no-verify), so nothing is claimed.",
        "Look into the LangSmith project for the traces.",
    ),
    _bad(
        Reason.INVALID_SPEC,
        "Accepted",
        "The object breaks a rule of its kind.",
        "Change the field that the message names. An API server with the current CRDs refuses most of these: "
        "update the CRDs.",
        also=("ResolvedRefs", "Programmed"),
    ),
    _bad(
        Reason.INVALID_URL,
        "Accepted",
        "selfHosted.url cannot be read as the URL of a LangSmith.",
        "Write https://, the host and, where there is one, the port and path, e.g. https://langsmith.example.com.",
    ),
    _bad(
        Reason.MISSING_SCHEME,
        "Accepted",
        "selfHosted.url has no scheme.",
        "Write https:// in front of the host.",
    ),
    _bad(
        Reason.UNSUPPORTED_SCHEME,
        "Accepted",
        "The URL's scheme is neither https nor http; LangSmith takes OTLP over HTTP only, not gRPC.",
        "Write https://.",
    ),
    _bad(
        Reason.INSECURE_SCHEME,
        "Accepted",
        "http:// would send the key and all prompts in the clear.",
        "Write https://, or set spec.allowPlaintext: true for a self-hosted install on a trusted network.",
    ),
    _bad(
        Reason.USER_INFO_NOT_ALLOWED,
        "Accepted",
        "The URL holds a user name or password.",
        "Take it out; the key belongs into the Secret of spec.credentials.ingest.secretRef.",
    ),
    _bad(
        Reason.QUERY_NOT_ALLOWED,
        "Accepted",
        "The URL holds a query or a fragment.",
        "Write only scheme, host, port and path.",
    ),
    _bad(
        Reason.UI_URL_NOT_API_URL,
        "Accepted",
        "The URL is that of LangSmith's web app, not of its API.",
        "Use the API host that the message names, or spec.saas with the region.",
    ),
    _bad(
        Reason.INVALID_BASE_PATH,
        "Accepted",
        "selfHosted.basePath is not a plain path, or contradicts the path of the URL.",
        "Write the chart value config.basePath of LangSmith, e.g. langsmith or langsmith/dev.",
    ),
    _bad(
        Reason.HOST_NOT_ALLOWED,
        "Accepted",
        "The operator's configuration does not allow this host.",
        "Ask the operator's administrator to add it to the chart value allowedHosts (flag --allow-host).",
    ),
    _bad(
        Reason.SERVICE_NOT_ALLOWED,
        "Accepted",
        "The Service of selfHosted.serviceRef does not exist, or points outside the cluster.",
        "Name a Service with a selector; an ExternalName Service is refused, use selfHosted.url for such a host.",
    ),
    ReasonEntry(
        Reason.SUSPENDED,
        ("Suspended",),
        "True",
        Severity.UNKNOWN,
        "spec.suspend is set: the operator writes nothing; the other conditions are from before.",
        "Remove spec.suspend to go on.",
    ),
    _bad(
        Reason.SECRET_NOT_FOUND,
        "ResolvedRefs",
        "The Secret does not exist, or lacks the label that gives it to the operator.",
        "Create it, and run: kubectl label secret NAME gatewaytelemetry.dev/role=source",
    ),
    _bad(
        Reason.SECRET_KEY_MISSING,
        "ResolvedRefs",
        "The Secret has no such key in its data.",
        "Name a key that exists, or add it.",
    ),
    _bad(
        Reason.KEY_EMPTY,
        "ResolvedRefs",
        "The API key is empty.",
        "Put the key into the Secret.",
    ),
    _bad(
        Reason.KEY_MALFORMED,
        "ResolvedRefs",
        "The API key holds characters that no key has: quotes, spaces, control or binary characters.",
        "Store the bare key: kubectl create secret generic NAME --from-literal=KEY=lsv2_sk_...",
    ),
    _bad(
        Reason.KEY_DOUBLE_ENCODED,
        "ResolvedRefs",
        "The API key was base64-encoded twice.",
        "Encode it once under data, or write it as it is under stringData.",
    ),
    _bad(
        Reason.KEY_LEGACY,
        "ResolvedRefs",
        "The API key begins with ls__; LangSmith ended such keys on 2024-10-22.",
        "Create a service key (lsv2_sk_...) in LangSmith and store that.",
        also=("Authenticated", "Ingesting", "Delivered"),
    ),
    _bad(
        Reason.KEY_NOT_FOR_HOST,
        "ResolvedRefs",
        "The Secret's annotation gatewaytelemetry.dev/hosts does not name the target's host.",
        "If the key may be sent there, add the host to the annotation.",
    ),
    _bad(
        Reason.CA_BUNDLE_NOT_FOUND,
        "ResolvedRefs",
        "The ConfigMap or Secret of caBundleRef does not exist, or lacks the label that gives it to the operator.",
        "Create it, and run: kubectl label configmap NAME gatewaytelemetry.dev/role=source",
    ),
    _bad(
        Reason.CA_BUNDLE_KEY_MISSING,
        "ResolvedRefs",
        "The CA bundle has no such key in its data.",
        "Name a key that exists in caBundleRef.key.",
    ),
    _bad(
        Reason.CA_BUNDLE_INVALID,
        "ResolvedRefs",
        "The CA bundle is empty or not made of PEM certificates.",
        "Store the CA certificates in PEM form (-----BEGIN CERTIFICATE-----).",
    ),
    _bad(
        Reason.CA_BUNDLE_HAS_PRIVATE_KEY,
        "ResolvedRefs",
        "The CA bundle holds a private key, which would be copied beside every gateway.",
        "Store the certificates only, and treat that key as exposed.",
    ),
    _bad(
        Reason.TARGET_NOT_FOUND,
        "ResolvedRefs",
        "No such LangSmithTarget, or it does not admit this namespace.",
        "Check targetRef; a target in another namespace must admit this one in its spec.allowedNamespaces.",
    ),
    _bad(
        Reason.TARGET_NOT_READY,
        "ResolvedRefs",
        "The LangSmithTarget's own Accepted or ResolvedRefs is not True.",
        "Look at the target: kubectl describe langsmithtarget NAME.",
    ),
    _bad(
        Reason.PROJECT_MISSING,
        "ResolvedRefs",
        "Neither the GatewayTelemetry nor its target names a project; traces would land in 'default'.",
        "Set spec.project.",
    ),
    _bad(
        Reason.PROJECT_NOT_ALLOWED,
        "ResolvedRefs",
        "The target's spec.allowedProjects does not hold this project.",
        "Use one of the allowed projects, or ask the target's owner to add it.",
    ),
    _bad(
        Reason.PROJECT_NOT_HEADER_SAFE,
        "ResolvedRefs",
        "The project's name holds characters that no HTTP header can carry (above U+00FF).",
        "Use a project name in ASCII.",
    ),
    _bad(
        Reason.PROJECT_UNSUPPORTED,
        "Programmed",
        "This gateway cannot be given this project name, or would send it in another form than others do.",
        "Use a project name without the characters that the message names.",
    ),
    _bad(
        Reason.CA_BUNDLE_UNSUPPORTED,
        "Programmed",
        "The target has a CA bundle, and this gateway has no certificate setting for its exporter alone.",
        "Let the gateway trust the CA by its own means and set spec.gateway.caInstalled: true.",
    ),
    _bad(
        Reason.CAPTURE_UNSUPPORTED,
        "Programmed",
        "spec.capture.content is false, and nothing that can be written makes this gateway leave content out.",
        "Switch content off in the gateway's own configuration, as the message says, and remove spec.capture.",
    ),
    _bad(
        Reason.ATTRIBUTES_UNSUPPORTED,
        "Programmed",
        "This gateway cannot be given spec.resourceAttributes, or not one with such a value.",
        "Remove them, or let the gateway's own configuration add them, as the message says.",
    ),
    _bad(
        Reason.COLLECTOR_REQUIRED,
        "Programmed",
        "This gateway exports by gRPC only; LangSmith takes OTLP over HTTP only.",
        "Put an OpenTelemetry Collector in between, and write a GatewayTelemetry for that.",
    ),
    _bad(
        Reason.GATEWAY_VERSION_UNSUPPORTED,
        "Programmed",
        "This version of the gateway is configured in another way, or its version cannot be told.",
        "Use the way that the message names.",
    ),
    _bad(
        Reason.TENANT_MISMATCH,
        "Programmed",
        "The control plane's key belongs to another tenant than install.controlPlane.tenant names.",
        "Put a key of that tenant into the Secret, or correct the tenant's name.",
    ),
    _bad(
        Reason.CONTROL_PLANE_CONFLICT,
        "Programmed",
        "The tenant has an OTEL config that this operator did not write, or one that it cannot keep whole.",
        "Look at AI Gateway > Controls > Settings > OTEL Config; switch the trace export off there, and it is "
        "written within minutes.",
    ),
    _bad(
        Reason.CONTROL_PLANE_KEY_REJECTED,
        "Programmed",
        "401 or 403: the control plane does not know its key, or the key may not change gateway settings.",
        "Put a key of a tenant admin or of a virtual account with that right into the Secret.",
    ),
    _bad(
        Reason.CONTROL_PLANE_REFUSED,
        "Programmed",
        "What answered is not TrueFoundry's API, or did not take the settings.",
        "Check install.controlPlane.url, and that the control plane belongs to chart 0.80 or later.",
    ),
    _wait(
        Reason.CONTROL_PLANE_UNAVAILABLE,
        "Programmed",
        "The control plane cannot be reached, is overloaded or fails; what stands there stays, and it is tried again.",
        "If it lasts, check the way from the operator to it: DNS, egress, the CA of its certificate.",
    ),
    _bad(
        Reason.NO_MATCHING_WORKLOADS,
        "Accepted",
        "The selector matches no Deployment in this namespace.",
        "Compare install.inject.workloads.selector with kubectl get deployments --show-labels.",
    ),
    _bad(
        Reason.CONFLICTED,
        "Accepted",
        "Another GatewayTelemetry holds the workload: the one that has it keeps it, else the older one.",
        "Remove one of the two, or narrow a selector.",
        also=("Programmed",),
    ),
    _bad(
        Reason.CONTAINER_NOT_FOUND,
        "Programmed",
        "The workload has no container of that name.",
        "Set install.inject.container to the container that exports traces.",
    ),
    _bad(
        Reason.CONTAINER_AMBIGUOUS,
        "Programmed",
        "The workload has several containers, none with the adapter's usual name.",
        "Set install.inject.container.",
    ),
    _bad(
        Reason.ENV_CONFLICT,
        "Programmed",
        "A variable that the operator would write, or that would override it, is already on the container.",
        "Remove it from the gateway's chart or manifest; nothing was written.",
    ),
    _bad(
        Reason.DUPLICATE_ENV,
        "Programmed",
        "The container lists a variable of the exporter twice.",
        "Remove one of the two entries.",
    ),
    _bad(
        Reason.FOREIGN_HEADERS,
        "Programmed",
        "OTEL_EXPORTER_OTLP_HEADERS is set for another backend; some SDKs would send its headers to LangSmith too.",
        "Use the variables of the other signals (OTEL_EXPORTER_OTLP_METRICS_HEADERS, ..._LOGS_HEADERS) there.",
    ),
    _bad(
        Reason.TRACING_DISABLED,
        "Programmed",
        "A variable on the container switches tracing off.",
        "Remove it from the gateway's chart or manifest.",
    ),
    _bad(
        Reason.CA_BUNDLE_OVERRIDDEN,
        "Programmed",
        "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE on the container silently beats the exporter's own CA setting.",
        "Add LangSmith's CA to that bundle and remove caBundleRef, or remove the variable.",
    ),
    _bad(
        Reason.ENV_FROM_UNREADABLE,
        "Programmed",
        "The container takes variables from a Secret or ConfigMap that the operator may not read.",
        "Grant get on it, so that the names of its keys can be compared; nothing was written.",
    ),
    _bad(
        Reason.MOUNT_CONFLICT,
        "Programmed",
        "A volume or mount of the operator's name or path already exists and is not the operator's.",
        "Rename it in the gateway's chart or manifest.",
    ),
    _bad(
        Reason.FIELD_OWNED_BY_OTHER,
        "Programmed",
        "Another field manager took over a field while it was being written.",
        "Stop that manager from setting the field; the message names both.",
    ),
    _bad(
        Reason.SECRET_NAME_TAKEN,
        "Programmed",
        "A Secret of the name that the operator needs exists and is not the operator's.",
        "Rename or delete that Secret.",
    ),
    _wait(Reason.NOT_WRITTEN, "Programmed", "The settings are not on every matched workload yet."),
    _wait(
        Reason.TARGET_SUSPENDED,
        "Programmed",
        "The target's spec.suspend is set, so the settings are not written; what the workload has stays.",
        "Remove spec.suspend from the target to go on.",
    ),
    _wait(
        Reason.ROLLOUT_IN_PROGRESS,
        "Programmed",
        "The settings are written; pods are being replaced.",
        "Wait, or follow it with kubectl rollout status.",
    ),
    _wait(
        Reason.ROLLOUT_PAUSED,
        "Programmed",
        "The settings are written; the Deployment is paused, so its pods keep the old ones.",
        "Resume it: kubectl rollout resume deployment NAME.",
    ),
    _bad(
        Reason.ROLLOUT_FAILED,
        "Programmed",
        "The settings are written; the Deployment passed its progress deadline.",
        "Look at the new pods: kubectl describe pods.",
    ),
    _wait(
        Reason.ROLLOUT_BY_HAND,
        "Programmed",
        "The settings are written; the update strategy (OnDelete, a partition) leaves old pods until somebody acts.",
        "Delete the old pods, or lower the partition, when it suits you.",
    ),
    _wait(
        Reason.ROLLOUT_QUEUED,
        "Programmed",
        "As many rollouts as the operator's configuration allows are under way; this one waits, the oldest goes first.",
    ),
    _bad(
        Reason.ROLLOUT_STOPPED,
        "Programmed",
        "A rollout of the same target's settings has failed elsewhere, so no further workload is changed.",
        "Look at the workload that the message names; a new spec, or the annotation gatewaytelemetry.dev/requestedAt, "
        "goes on.",
    ),
    _bad(
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
    _wait(
        Reason.RESTART_NEEDED,
        "Programmed",
        "The referenced Secret has changed; pods read it only when they start.",
        "Restart them: kubectl rollout restart, or set rollout.policy: Automatic.",
    ),
    _bad(
        Reason.NOT_REFERENCED,
        "Programmed",
        "The pod template does not refer to the Secret of install.reference.secretName.",
        "Let the gateway's chart refer to it, e.g. envFrom: [{secretRef: {name: NAME, optional: true}}].",
    ),
    _bad(
        Reason.RESOURCE_NOT_FOUND,
        "Programmed",
        "The object of install.resource.ref does not exist, or the cluster does not know its kind.",
        "Compare name and namespace, or install the CustomResourceDefinitions that the message names.",
    ),
    _bad(
        Reason.RESOURCE_INVALID,
        "Programmed",
        "The object of install.resource.ref does not hold what the settings are added to: a key of the ConfigMap, "
        "valid YAML, a pipeline.",
        "Correct the object, or the names in the GatewayTelemetry, as the message says.",
    ),
    _bad(
        Reason.RESOURCE_CONFLICT,
        "Programmed",
        "The object of install.resource.ref already holds something of the name that the operator needs.",
        "Remove or rename what the message names; it is not written over.",
    ),
    _bad(
        Reason.RESOURCE_GENERATED,
        "Programmed",
        "The ConfigMap of install.resource.ref is generated by a controller, which would undo every change.",
        "Refer to the object that it is generated from, as the message says.",
    ),
    _bad(
        Reason.FOUGHT_OVER,
        "Programmed",
        "Somebody takes the settings away again and again; the operator has stopped putting them back.",
        "Stop the field manager that the message names from doing so, or use install.reference.",
    ),
    _ok(Reason.REACHABLE, ("Reachable",), "LangSmith answered, over a trusted connection."),
    _warns(
        Reason.CERTIFICATE_EXPIRES_SOON,
        "Reachable",
        "LangSmith answered; its certificate ends within two weeks.",
        "Renew it, or look whether its renewal works.",
    ),
    _warns(
        Reason.LICENSE_EXPIRED,
        "Reachable",
        "LangSmith answered; the licence that it reports has ended.",
        "Renew the licence of this LangSmith. Its chart derives the salt of API keys from the licence where apiKeySalt "
        "is not set: keys may then have to be made anew.",
    ),
    _warns(
        Reason.CLOCK_SKEW,
        "Reachable",
        "LangSmith answered; its clock and the operator's differ by more than five minutes.",
        "Set the clock (NTP) of the one that is wrong: traces would stand at a wrong time.",
    ),
    _unsure(
        Reason.NOT_PROBED,
        ("Reachable", "Authenticated", "Ingesting", "Delivered"),
        "Not asked yet, or LangSmith must be reachable first.",
    ),
    _wrong(
        Reason.DNS_NOT_FOUND,
        "DNS says that the host does not exist.",
        "Check the host's name. If only a proxy can resolve it, give the operator HTTPS_PROXY.",
    ),
    _unsure(
        Reason.DNS_UNAVAILABLE,
        _REQUESTS,
        "The operator's DNS did not answer, so nothing is known about LangSmith.",
        "Look whether the operator's pod may reach the cluster's DNS (NetworkPolicy) and whether that works.",
    ),
    _wrong(
        Reason.ADDRESS_NOT_ALLOWED,
        "The host resolves to an address that no key may be sent to: loopback, link-local, metadata or multicast.",
        "Correct the DNS entry.",
    ),
    _wrong(
        Reason.CONNECTION_REFUSED,
        "Nothing listens on that port.",
        "Check the port, and that LangSmith's frontend runs.",
    ),
    _unsure(
        Reason.NO_ROUTE,
        _REQUESTS,
        "No connection came about: either the host is down, or the operator's own way out is closed.",
        "Look whether a NetworkPolicy or firewall lets the operator's pod reach the host and port.",
    ),
    _unsure(
        Reason.PROXY_UNREACHABLE,
        _REQUESTS,
        "The operator's proxy cannot be reached, so nothing is known about LangSmith.",
        "Check HTTPS_PROXY of the operator; hosts that need no proxy go into NO_PROXY.",
    ),
    _unsure(
        Reason.PROXY_REFUSED,
        _REQUESTS,
        "The operator's proxy does not let the connection through, so nothing is known about LangSmith.",
        "Allow the host at the proxy, give HTTPS_PROXY its user and password, or add the host to NO_PROXY.",
    ),
    _passing(
        Reason.CONNECTION_CUT,
        "The connection was cut before the answer was complete.",
        "If it stays, look at load balancers and firewalls on the way, and at LangSmith's pods.",
    ),
    _passing(
        Reason.ANSWER_TIMEOUT,
        "The host took the connection and did not finish its answer in time.",
        "If it stays, look at LangSmith's pods and at what stands in front of them.",
    ),
    _wrong(
        Reason.TLS_EXPIRED,
        "The certificate of the host, or one above it, has expired.",
        "Renew it on LangSmith's side; no Secret and no gateway needs a change.",
    ),
    _wrong(
        Reason.TLS_NOT_YET_VALID,
        "The certificate of the host is not valid yet.",
        "Check the clock of the operator's node, then the certificate.",
    ),
    _wrong(
        Reason.TLS_WRONG_HOST,
        "The certificate is for other host names.",
        "Use a host name that the certificate holds, or issue one that holds this name.",
    ),
    _wrong(
        Reason.TLS_UNTRUSTED,
        "The certificate's issuer is not trusted.",
        "Put the CA that issued it into spec.caBundleRef, or let the server send its intermediate certificates.",
    ),
    _wrong(
        Reason.TLS_INTERCEPTED,
        "A host of LangSmith's service shows a certificate of an unknown issuer: something on the way opens TLS.",
        "Exempt the host from TLS inspection, or put the CA of the inspecting proxy into spec.caBundleRef.",
    ),
    _wrong(
        Reason.TLS_NOT_SPOKEN,
        "The port does not speak TLS.",
        "Use the port that speaks https. Ports 80 and 443 of LangSmith's frontend Service both speak http unless "
        "frontend.ssl.enabled is set.",
    ),
    _wrong(
        Reason.TLS_FAILED,
        "The TLS handshake failed.",
        "Compare the TLS versions and ciphers of the host; the server must not ask for a client certificate.",
    ),
    _wrong(
        Reason.TLS_EXPECTED,
        "http:// was used on a port that speaks https.",
        "Write https://, or scheme: https.",
    ),
    _wrong(
        Reason.ANSWERED_BY_UI,
        "A web page came instead of the API's answer: this is the web app's host, or the path prefix is missing.",
        "Use the API's host, and set selfHosted.basePath to the chart value config.basePath.",
    ),
    _wrong(
        Reason.METHOD_NOT_ALLOWED,
        "405: this is the web app's host, or the path prefix is missing.",
        "Use the API's host, and set selfHosted.basePath to the chart value config.basePath.",
    ),
    _wrong(
        Reason.EMPTY_ANSWER,
        "A success without content: what answers is not LangSmith's API.",
        "Check host, port and basePath, and what stands in front of LangSmith.",
    ),
    _wrong(
        Reason.NOT_LANGSMITH,
        "The answer is not one of LangSmith's API.",
        "Check host, port and basePath, and what stands in front of LangSmith.",
    ),
    _wrong(
        Reason.REDIRECTED,
        "The host redirects, and redirects are not followed: they would carry the key elsewhere.",
        "Write the address that is meant. A redirect to port 8443 says that frontend.ssl.enabled is set: use https. "
        "A redirect to a login page says that the API path must be exempt from single sign-on.",
    ),
    _wrong(
        Reason.API_NOT_FOUND,
        "404: the host answers, and the API is not at this path.",
        "Set selfHosted.basePath to the chart value config.basePath; an ingress must not strip it.",
    ),
    _wrong(
        Reason.BLOCKED_IN_FRONT,
        "Something in front of LangSmith (proxy, firewall, login page) refused the request.",
        "Exempt the API's path there from logins and filters.",
    ),
    _passing(
        Reason.SERVER_ERROR,
        "LangSmith, or what stands in front of it, answered with an error of its own (5xx).",
        "If it stays, look at LangSmith's pods and their log, or at status.smith.langchain.com.",
    ),
    _unsure(
        Reason.RATE_LIMITED,
        (*_REQUESTS, "Delivered"),
        "429: a rate or usage limit of LangSmith is reached; the operator waits as long as it is told to.",
        "If it stays, look at the limits of the organization and workspace.",
    ),
    _unsure(
        Reason.INFO_NEEDS_KEY,
        ("Reachable",),
        "This LangSmith shows /info only to a good key, and refused this one.",
        "Look at Authenticated.",
    ),
    _ok(Reason.AUTHENTICATED, ("Authenticated",), "The key is valid, in the intended workspace."),
    _bad(
        Reason.KEY_REJECTED,
        "Authenticated",
        "401: LangSmith does not know the key.",
        "Check that it was copied whole, is not revoked, and belongs to this region or install.",
        also=("Ingesting", "Delivered"),
    ),
    _bad(
        Reason.KEY_FORBIDDEN,
        "Authenticated",
        "403: the key belongs to another region or install, or has no right in this workspace.",
        "Create a key in the region and workspace that the target names, and store that.",
        also=("Ingesting", "Delivered"),
    ),
    _bad(
        Reason.WORKSPACE_REQUIRED,
        "Authenticated",
        "The key is one of the whole organization, and no workspace is named.",
        "Set spec.workspaceId.",
        also=("Ingesting", "Delivered"),
    ),
    _bad(
        Reason.WORKSPACE_MISMATCH,
        "Authenticated",
        "The key acts in another workspace than the intended one.",
        "Set spec.workspaceId to the workspace that is meant, or use a key of that workspace.",
        also=("Ingesting", "Delivered"),
    ),
    _unsure(
        Reason.WORKSPACE_UNVERIFIED,
        ("Authenticated",),
        "The key may send traces and may not read, so its workspace cannot be seen.",
        "Give spec.credentials.read; the canary then shows where traces arrive.",
    ),
    _ok(Reason.INGESTED, ("Ingesting",), "A canary was sent and read back from the intended project."),
    _ok(Reason.DELIVERED, ("Delivered",), "Traces of this gateway were read back from the intended project."),
    _unsure(
        Reason.CANARY_OFF,
        ("Ingesting",),
        "spec.verification.canary.mode is Off.",
    ),
    _unsure(
        Reason.NO_PROJECT,
        ("Ingesting",),
        "The target names no project, so there is none to send a canary to; the gateways' own traces are looked for.",
        "Set spec.project if a canary is wanted.",
    ),
    _unsure(
        Reason.VANTAGE_OFF,
        ("Reachable",),
        "verification.fromNamespace is set, and the operator may start no Jobs.",
        "Set the chart's value verification.jobs.enabled, or take fromNamespace away.",
    ),
    _unsure(
        Reason.VANTAGE_FAILED,
        ("Reachable",),
        "The Job that looks at LangSmith from the gateway's namespace gave no verdict.",
        "Look at it: kubectl describe job -n NAMESPACE -l app.kubernetes.io/managed-by=gateway-telemetry-operator; "
        "the annotation gatewaytelemetry.dev/requestedAt makes another.",
    ),
    _ok(Reason.TRACES_SEEN, ("Producing",), "Traces of this gateway were read back, so it makes and exports spans."),
    _unsure(
        Reason.NO_SIGNAL,
        ("Producing",),
        "This gateway shows nothing of its own about the spans that it makes; Delivered speaks of those that arrived.",
    ),
    _unsure(
        Reason.NO_READ_KEY,
        _READ_BACK,
        "The target names no key to read with, so nothing is claimed.",
        "Give spec.credentials.read.",
    ),
    _unsure(
        Reason.READ_BACK_FAILED,
        _READ_BACK,
        "The traces could not be looked for, so nothing is claimed.",
        "The message says what the read met.",
    ),
    _bad(
        Reason.NOT_VISIBLE,
        "Ingesting",
        "LangSmith accepted the canary, and it did not appear in time.",
        "Look at usage limits of the workspace (spans beyond them are accepted and dropped), and at LangSmith's queue.",
    ),
    _bad(
        Reason.WRONG_PROJECT,
        "Ingesting",
        "The traces were found in another project than the intended one.",
        "Look for what sets the project: the header langsmith-project, or langsmith.trace.session_name on the spans.",
        also=("Delivered",),
    ),
    _bad(
        Reason.ORPHANS_DROPPED,
        "Delivered",
        "The gateway continues its callers' traces, and LangSmith drops spans whose parent it never receives.",
        "Let the gateway begin traces of its own (docs/verification.md says how), or send the callers' spans to the "
        "same project.",
    ),
    _bad(
        Reason.SPANS_REJECTED,
        "Ingesting",
        "LangSmith answered 200 and rejected the span (OTLP partial success).",
        "Look at usage limits and at LangSmith's log.",
    ),
    _bad(
        Reason.OTLP_ROUTE_MISSING,
        "Ingesting",
        "The API is there, and takes no OTLP traces at its path (404).",
        "LangSmith before 0.10 has no OTLP ingest: update it. A filter in front must let POST /api/v1/otel/ through.",
        also=("Authenticated",),
    ),
    _bad(
        Reason.BODY_TOO_LARGE,
        "Ingesting",
        "413: a limit on the size of bodies is below even the canary's few hundred bytes.",
        "Raise frontend.maxBodySize, or the ingress controller's own limit (ingress-nginx: proxy-body-size).",
    ),
    _bad(
        Reason.ENCODING_REFUSED,
        "Ingesting",
        "415: the server does not take OTLP in protobuf.",
        "Look at what stands in front of LangSmith; LangSmith takes application/x-protobuf.",
    ),
    _bad(
        Reason.SPEND_CAP,
        "Ingesting",
        "402: a spend cap or an unpaid plan stops ingest.",
        "Raise the cap or settle the plan in LangSmith.",
    ),
    _unsure(
        Reason.NO_TRAFFIC,
        ("Delivered",),
        "No trace of this gateway was found: it has had no traffic, or its traces do not arrive.",
        "Send a request through the gateway. If nothing comes then, its callers may send traceparent: spans whose "
        "parent LangSmith never receives are dropped.",
    ),
    _unsure(
        Reason.OLD_CONFIG,
        ("Delivered",),
        "The newest trace of this gateway is from before its present settings.",
    ),
    _unsure(
        Reason.NOT_STAMPED,
        ("Delivered",),
        "This gateway's traces cannot carry the operator's stamp, so they cannot be told from others.",
        "Look into the LangSmith project for the traces.",
    ),
    _bad(
        Reason.RBAC_DENIED,
        "Programmed",
        "The operator's ServiceAccount may not do what is needed.",
        "Grant it: the message names verb, resource and namespace.",
    ),
    _bad(
        Reason.READ_ONLY,
        "Programmed",
        "The operator only reports: it was started with --read-only (chart value readOnly).",
        "Look at what it would write, then set the chart's readOnly to false.",
    ),
    _wait(
        Reason.WRITE_FAILED,
        "Programmed",
        "The API server did not take a write; the operator tries again with growing pauses.",
        "If it stays, look at the message and the operator's log.",
    ),
    ReasonEntry(
        Reason.UNINSTALLED,
        ("Ready",),
        "Unknown",
        Severity.UNKNOWN,
        "The operator was uninstalled; what it had written was taken away, and nobody looks after this object.",
        "Install the operator again to go on.",
    ),
    _wait(
        Reason.RESTORING,
        "Programmed",
        "The object is being deleted; what was written is being taken away.",
    ),
)

BY_REASON: dict[Reason, ReasonEntry] = {entry.reason: entry for entry in TABLE}
