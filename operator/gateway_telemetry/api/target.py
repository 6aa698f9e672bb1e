"""LangSmithTarget: where traces go, with which key, and who may use it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from gateway_telemetry.api.meta import (
    Condition,
    DataKey,
    LabelSelector,
    NamespaceName,
    ObjectName,
    ProjectName,
    SecretKeyRef,
    WorkspaceId,
    duration_between,
)
from gateway_telemetry.api.rules import Checked, Model, Rule, differs, matcher, matches

_is_path = matcher(_SEGMENTS := r"^/?[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*/?$")
_has_dots = matcher(_DOTS := r"(^|/)[.][.]?(/|$)")

BasePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    *Checked.by(
        Rule(
            f"self.matches(r'{_SEGMENTS}') && !self.matches(r'{_DOTS}')",
            "basePath is the chart value config.basePath of LangSmith, written like langsmith or langsmith/dev: "
            "no '..', no empty segments, no spaces, no scheme or host",
            lambda value: _is_path(value) and not _has_dots(value),
        )
    ),
]

_PASTED = r"^[ \t\r\n\x22\x27]*"
_is_plaintext = matcher(_PLAINTEXT := _PASTED + "[hH][tT][tT][pP]://")

Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2048),
    *Checked.by(
        matches(
            _PASTED + "[hH][tT][tT][pP][sS]?://",
            "url must begin with a scheme: write https:// and the host, e.g. https://langsmith.example.com "
            "(LangSmith takes OTLP over HTTP only)",
        ),
        differs(
            r"^[^/]*//[^/?#]*@",
            "url must not hold a user name or password: the API key goes into a Secret named in "
            "spec.credentials.ingest.secretRef",
        ),
        differs(
            "[?#]",
            "url must not hold a query (?) or fragment (#): write only scheme, host, port and path",
        ),
    ),
]


class Saas(Model):
    """LangSmith as a service."""

    region: Literal["us", "eu", "apac", "aws"] = Field(
        description="Region of the organization: us, eu, apac or aws (US on AWS). A key is valid in its region only."
    )


class ServiceRef(Model):
    """A Service that reaches LangSmith inside the cluster."""

    name: ObjectName = Field(description="Name of the Service, e.g. langsmith-frontend.")
    namespace: NamespaceName | None = Field(
        default=None, description="Namespace of the Service; that of the target when left out."
    )
    port: int = Field(ge=1, le=65535, description="Port of the Service.", json_schema_extra={"format": "int32"})
    scheme: Literal["http", "https"] = Field(
        description="What the port speaks. The Service cannot tell: LangSmith's chart maps ports 80 and 443 to the "
        "same container port, which speaks TLS only with frontend.ssl.enabled."
    )


class SelfHosted(Model):
    """A LangSmith that you or your company runs."""

    rules = (
        Rule(
            "has(self.url) != has(self.serviceRef)",
            "write exactly one of selfHosted.url and selfHosted.serviceRef",
            lambda self: (self.url is None) != (self.service_ref is None),
        ),
    )

    url: Url | None = Field(
        default=None,
        description="URL of the install; what people paste is normalised (/api/v1, /otel/v1/traces, slashes, case).",
    )
    service_ref: ServiceRef | None = Field(default=None, description="Service that reaches it inside the cluster.")
    base_path: BasePath | None = Field(
        default=None, description="Path prefix of the install: its chart value config.basePath."
    )


class Credential(Model):
    """One API key, by reference."""

    secret_ref: SecretKeyRef = Field(
        description="Secret in the target's namespace. It must carry the label gatewaytelemetry.dev/role=source; its "
        "annotation gatewaytelemetry.dev/hosts (comma-separated) limits the hosts that the key may be sent to."
    )


class Credentials(Model):
    """API keys: `ingest` is copied beside the gateways, `read` never leaves the operator."""

    ingest: Credential = Field(
        description="Key that gateways send traces with. A namespace that allowedNamespaces admits receives a copy."
    )
    read: Credential | None = Field(
        default=None, description="Key that the operator reads runs back with, to prove delivery."
    )


class CaBundleRef(Model):
    """PEM certificates that the exporter trusts for LangSmith, instead of the system's; never process-wide."""

    kind: Literal["ConfigMap", "Secret"] = Field(description="ConfigMap or Secret.")
    name: ObjectName = Field(description="Its name, in the target's namespace, labelled like a source Secret.")
    key: DataKey = Field(default="ca.crt", description="Key that holds the PEM text.")


class AllowedNamespaces(Model):
    """Who may use the target: the consent of its owner."""

    rules = (
        Rule(
            "(self.from == 'Selector') == has(self.selector)",
            "selector and from: Selector belong together: write both, e.g. {from: Selector, selector: {matchLabels: "
            "{team: payments}}}, or neither",
            lambda self: (self.from_ == "Selector") == (self.selector is not None),
        ),
    )

    from_: Literal["Same", "Selector", "All"] = Field(
        default="Same",
        alias="from",
        description="Same: only the target's namespace. Selector: namespaces with matching labels. All: every one. "
        "Consent hands the ingest key over to the admitted namespaces.",
    )
    selector: LabelSelector | None = Field(default=None, description="Labels of the admitted namespaces.")


class Canary(Model):
    """A marked trace that the operator sends and reads back; each one is a billed trace."""

    mode: Literal["Off", "OnChange", "Periodic"] = Field(
        default="OnChange", description="When canaries are sent: never, after a change, or also every interval."
    )
    interval: Annotated[str, StringConstraints(max_length=32), *duration_between("10m", "720h")] = Field(
        default="24h", description="Time between canaries in mode Periodic."
    )


class TargetVerification(Model):
    """How the operator checks that LangSmith is there and takes traces."""

    probe_interval: Annotated[str, StringConstraints(max_length=32), *duration_between("30s", "24h")] = Field(
        default="5m", description="Time between probes of the API; one probe per target, never per gateway."
    )
    canary: Canary | None = Field(default=None, description="Proof of ingest by a trace that is read back.")


def _plaintext(spec: Any) -> bool:
    hosted = spec.self_hosted
    if hosted is None:
        return False
    if hosted.service_ref is not None:
        return bool(hosted.service_ref.scheme == "http")
    return hosted.url is not None and _is_plaintext(hosted.url)


def _as_set(values: list[str]) -> list[str]:
    """Refuse what the API server refuses in a list of ``x-kubernetes-list-type: set``."""
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ValueError(f"Duplicate value: {value!r}")
    return values


class LangSmithTargetSpec(Model):
    """Where traces go."""

    rules = (
        Rule(
            "has(self.saas) != has(self.selfHosted)",
            "write exactly one of spec.saas (e.g. saas: {region: eu}) and spec.selfHosted "
            "(e.g. selfHosted: {url: https://langsmith.example.com})",
            lambda self: (self.saas is None) != (self.self_hosted is None),
        ),
        Rule(
            "!has(self.apiKey)",
            "spec.apiKey: a key never belongs in this object, it would be readable in Git and in etcd: "
            "put it into a Secret and name that in spec.credentials.ingest.secretRef",
            lambda self: self.api_key is None,
        ),
        Rule(
            "has(self.apiKey) || has(self.credentials)",
            "spec.credentials is required: name the Secret that holds the key, "
            "e.g. credentials: {ingest: {secretRef: {name: langsmith, key: api-key}}}",
            lambda self: self.api_key is not None or self.credentials is not None,
        ),
        Rule(
            "(has(self.allowPlaintext) && self.allowPlaintext) || !has(self.selfHosted) || "
            "((!has(self.selfHosted.url) || "
            r"!self.selfHosted.url.matches('^[\\s\"\\x27]*[hH][tT][tT][pP]://')) && "
            "(!has(self.selfHosted.serviceRef) || self.selfHosted.serviceRef.scheme != 'http'))",
            "http:// sends the key and all prompts unencrypted: write https://, or set spec.allowPlaintext: true "
            "if the network between gateway and LangSmith may carry them in the clear",
            lambda self: self.allow_plaintext or not _plaintext(self),
        ),
        Rule(
            "!has(self.allowedProjects) || !has(self.project) || self.project in self.allowedProjects",
            "spec.project must be one of spec.allowedProjects: add it there",
            lambda self: self.allowed_projects is None or self.project is None or self.project in self.allowed_projects,
        ),
    )

    saas: Saas | None = Field(default=None, description="LangSmith as a service, by region.")
    self_hosted: SelfHosted | None = Field(default=None, description="A self-hosted LangSmith.")
    api_key: Annotated[str, StringConstraints(max_length=4096)] | None = Field(
        default=None,
        repr=False,
        description="Always refused: declared only so that the refusal says where a key belongs.",
    )
    credentials: Credentials | None = Field(default=None, description="API keys, by reference.")
    workspace_id: WorkspaceId | None = Field(
        default=None,
        description="Workspace that traces must land in, sent as X-Tenant-Id; needed with organization-scoped keys.",
    )
    project: ProjectName | None = Field(
        default=None, description="Project for gateways that name none; LangSmith creates it on first use."
    )
    allowed_projects: Annotated[list[ProjectName], AfterValidator(_as_set)] | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Projects that gateways may name; any when left out.",
        json_schema_extra={"listType": "set"},
    )
    ca_bundle_ref: CaBundleRef | None = Field(default=None, description="Private CA of LangSmith's certificate.")
    allow_plaintext: bool = Field(default=False, description="Consent to http://.")
    allowed_namespaces: AllowedNamespaces | None = Field(
        default=None, description="Namespaces whose GatewayTelemetry may use this target; its own when left out."
    )
    verification: TargetVerification | None = Field(
        default=None,
        description="How often the operator looks at LangSmith, and whether it sends canaries.",
    )
    suspend: bool = Field(
        default=False, description="Stop acting on this target; gateways keep what they have, conditions stay."
    )


class EndpointsStatus(Model):
    """URLs that the spec leads to."""

    api: str = Field(description="Base of the REST API.")
    otlp: str = Field(description="OTLP base, for settings that append /v1/traces.")
    traces: str = Field(description="Full OTLP traces URL, for settings that are used verbatim.")


class ServerStatus(Model):
    """What LangSmith says of itself."""

    version: str = Field(description="Version, as GET /info has it.")


class ProjectStatus(Model):
    """The project that canaries were read back from."""

    id: str = Field(description="Its id.")
    name: str = Field(description="Its name.")
    workspace_id: str = Field(description="Workspace that it is in.")
    url: str | None = Field(default=None, description="Its page in LangSmith's web app, where that is known.")


class CanaryStatus(Model):
    """The last canary that was read back."""

    time: str = Field(description="When.", json_schema_extra={"format": "date-time"})
    run_url: str | None = Field(default=None, description="Its run in LangSmith's web app, where that is known.")


class TargetProofStatus(Model):
    """What the conditions about LangSmith speak of."""

    hash: str = Field(
        description="Changes with URL, keys, CA, workspace and project; conditions of another hash count no more."
    )
    server: ServerStatus | None = Field(default=None, description="What LangSmith says of itself.")
    project: ProjectStatus | None = Field(default=None, description="Where the last canary was found.")
    canary: CanaryStatus | None = Field(default=None, description="The last canary that was read back.")


class LangSmithTargetStatus(Model):
    """What the operator found."""

    observed_generation: int | None = Field(
        default=None, description="Generation that the status speaks of.", json_schema_extra={"format": "int64"}
    )
    last_handled_request: str | None = Field(
        default=None, description="Value of the annotation gatewaytelemetry.dev/requestedAt that was last acted on."
    )
    endpoints: EndpointsStatus | None = Field(default=None, description="URLs that the spec leads to.")
    proof: TargetProofStatus | None = Field(
        default=None, description="What Reachable, Authenticated and Ingesting speak of, once LangSmith was looked at."
    )
    conditions: list[Condition] | None = Field(
        default=None,
        description="Accepted, ResolvedRefs, Reachable, Authenticated, Ingesting, Ready; Stalled and Reconciling "
        "while they hold.",
        json_schema_extra={"listType": "map", "listMapKeys": ["type"]},
    )
