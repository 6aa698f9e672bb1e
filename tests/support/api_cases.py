"""Good and bad objects of both kinds, judged by the API server (CEL, schema) and by the models alike.

One table for both judges: a rule that only one of them knows shows as a failing row.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

API_VERSION = "gatewaytelemetry.dev/v1alpha1"
TARGET = "LangSmithTarget"
GATEWAY = "GatewayTelemetry"
PLURALS = {TARGET: "langsmithtargets", GATEWAY: "gatewaytelemetries"}
GONE = object()
"""Value of an edit that removes the field."""

BASE: dict[str, dict[str, Any]] = {
    TARGET: {
        "saas": {"region": "us"},
        "credentials": {"ingest": {"secretRef": {"name": "langsmith", "key": "api-key"}}},
        "project": "checkout",
    },
    GATEWAY: {
        "targetRef": {"name": "langsmith"},
        "gateway": {"type": "litellm"},
        "install": {"inject": {"workloads": {"selector": {"matchLabels": {"app": "litellm"}}}}},
    },
}


@dataclass(frozen=True)
class Case:
    """An object: the base spec of its kind with edits by dotted path.

    Attributes:
        server: part of what the API server answers; empty when it accepts the object.
        model: part of what the model says, where it is not the same text (schema checks have their own wording).
    """

    name: str
    kind: str
    edits: dict[str, Any]
    server: str = ""
    model: str = field(default="")

    @property
    def spec(self) -> dict[str, Any]:
        spec = copy.deepcopy(BASE[self.kind])
        for path, value in self.edits.items():
            *parents, last = path.split(".")
            inner = spec
            for parent in parents:
                inner = inner.setdefault(parent, {})
            if value is GONE:
                del inner[last]
            else:
                inner[last] = value
        return spec

    @property
    def manifest(self) -> dict[str, Any]:
        return {"apiVersion": API_VERSION, "kind": self.kind, "metadata": {"name": "case"}, "spec": self.spec}


def target(name: str, edits: dict[str, Any], server: str = "", model: str = "") -> Case:
    return Case(name, TARGET, edits, server, model or server)


def hosted(name: str, block: dict[str, Any], server: str = "", model: str = "", **more: Any) -> Case:
    return target(name, {"saas": GONE, "selfHosted": block, **more}, server, model)


def gateway(name: str, edits: dict[str, Any], server: str = "", model: str = "") -> Case:
    return Case(name, GATEWAY, edits, server, model or server)


SELECTOR = "install.inject.workloads.selector"
_SERVICE = {"name": "langsmith-frontend", "port": 443, "scheme": "https"}

EXACTLY_ONE_FORM = "write exactly one of spec.saas"
EXACTLY_ONE_ADDRESS = "write exactly one of selfHosted.url and selfHosted.serviceRef"
PLAINTEXT = "http:// sends the key and all prompts unencrypted: write https://, or set spec.allowPlaintext: true"
USERINFO = "url must not hold a user name or password"
QUERY = "url must not hold a query (?) or fragment (#)"
SCHEME = "url must begin with a scheme: write https:// and the host"
BASE_PATH = "basePath is the chart value config.basePath of LangSmith"
CONTROL = "a LangSmith project name must not hold control characters"
SPACES = "a LangSmith project name must not begin or end with spaces"
WORKSPACE = "workspaceId is the workspace's UUID"
EMPTY_SELECTOR = "an empty selector would match everything"
CONSENT = "selector and from: Selector belong together"
PROBE_INTERVAL = "must be a duration between 30s and 24h, written like 90s, 5m or 24h"
CANARY_INTERVAL = "must be a duration between 10m and 720h, written like 90s, 5m or 24h"
OBJECT_NAME = "must be the name of a Kubernetes object"
NAMESPACE_NAME = "must be the name of a namespace"
DATA_KEY = "must be a key of a Secret or ConfigMap"
LABEL_KEY = "must be a label key"
LABEL_VALUE = "must be a label value"
VALUES = "values must be given for In and NotIn, and left out for Exists and DoesNotExist"
ATTRIBUTE = "names of resource attributes are written like team or deployment.environment.name"
FILES = "read files, or variables that you refer to, so install.inject is not for them: use install.reference"
RESERVED = "are the operator's own evidence stamp: use another name"
# wording of schema checks: the API server's, the model's
REQUIRED = ("Required value", "Field required")
UNKNOWN = ("unknown field", "Extra inputs are not permitted")
ENUM = ("Unsupported value", "Input should be")
TOO_LONG = ("Too long: may not be more than", "should have at most")
TOO_SHORT = ("should be at least 1 chars long", "should have at least 1 character")
TOO_MANY = ("must have at most", "should have at most")

FORM = (
    target("no-form", {"saas": GONE}, EXACTLY_ONE_FORM),
    target("both-forms", {"selfHosted": {"url": "https://ls.example.com"}}, EXACTLY_ONE_FORM),
    target("region-unknown", {"saas.region": "europe"}, ENUM[0], "Input should be 'us', 'eu', 'apac' or 'aws'"),
    target("region-upper-case", {"saas.region": "EU"}, *ENUM),
    target("region-missing", {"saas": {}}, *REQUIRED),
    target("inline-key", {"apiKey": "lsv2_sk_pasted"}, "name that in spec.credentials.ingest.secretRef"),
    target("inline-key-only", {"apiKey": "lsv2_sk_pasted", "credentials": GONE}, "a key never belongs in this object"),
    target("unknown-field", {"projekt": "checkout"}, 'unknown field "spec.projekt"', UNKNOWN[1]),
    target("unknown-inner-field", {"saas.zone": "eu"}, 'unknown field "spec.saas.zone"', UNKNOWN[1]),
    target("suspend-text", {"suspend": "true"}, "must be of type boolean", "should be a valid boolean"),
)

ADDRESS = (
    hosted("no-address", {}, EXACTLY_ONE_ADDRESS),
    hosted("both-addresses", {"url": "https://ls.example.com", "serviceRef": _SERVICE}, EXACTLY_ONE_ADDRESS),
    hosted("http", {"url": "http://ls.example.com"}, PLAINTEXT),
    hosted("http-upper-case", {"url": "HTTP://ls.example.com"}, PLAINTEXT),
    hosted("http-quoted", {"url": '"http://ls.example.com"'}, PLAINTEXT),
    hosted("http-single-quoted", {"url": "'http://ls.example.com'"}, PLAINTEXT),
    hosted("http-after-spaces", {"url": "  \thttp://ls.example.com"}, PLAINTEXT),
    hosted("http-service", {"serviceRef": {**_SERVICE, "scheme": "http"}}, PLAINTEXT),
    hosted("http-not-allowed", {"url": "http://ls.example.com"}, PLAINTEXT, allowPlaintext=False),
    hosted("user", {"url": "https://admin@ls.example.com"}, USERINFO),
    hosted("user-and-password", {"url": "https://admin:secret@ls.example.com/api/v1"}, USERINFO),
    hosted("query", {"url": "https://ls.example.com/?org=1"}, QUERY),
    hosted("fragment", {"url": "https://ls.example.com/#projects"}, QUERY),
    hosted("no-scheme", {"url": "ls.example.com"}, SCHEME),
    hosted("no-scheme-but-port", {"url": "ls.example.com:443/langsmith"}, SCHEME),
    hosted("grpc", {"url": "grpc://ls.example.com:4317"}, SCHEME),
    hosted("one-slash", {"url": "https:/ls.example.com"}, SCHEME),
    hosted("url-empty", {"url": ""}, TOO_SHORT[0], TOO_SHORT[1]),
    hosted("url-too-long", {"url": "https://ls.example.com/" + "a" * 2048}, *TOO_LONG),
    hosted("service-scheme-missing", {"serviceRef": {"name": "langsmith-frontend", "port": 80}}, *REQUIRED),
    hosted("service-scheme-unknown", {"serviceRef": {**_SERVICE, "scheme": "grpc"}}, *ENUM),
    hosted("service-port-0", {"serviceRef": {**_SERVICE, "port": 0}}, "greater than or equal to 1"),
    hosted("service-port-high", {"serviceRef": {**_SERVICE, "port": 65536}}, "less than or equal to 65535"),
    hosted(
        "service-port-text", {"serviceRef": {**_SERVICE, "port": "443"}}, "must be of type integer", "a valid integer"
    ),
    hosted("service-name-url", {"serviceRef": {**_SERVICE, "name": "https://langsmith"}}, OBJECT_NAME),
    hosted("service-namespace", {"serviceRef": {**_SERVICE, "namespace": "lang.smith"}}, NAMESPACE_NAME),
)

BASE_PATHS = tuple(
    hosted(f"base-path-{name}", {"url": "https://ls.example.com", "basePath": text}, BASE_PATH)
    for name, text in {
        "parent": "langsmith/../admin",
        "parent-only": "..",
        "parent-last": "langsmith/..",
        "dot": "langsmith/./dev",
        "empty-segment": "langsmith//dev",
        "slashes": "//",
        "space": "lang smith",
        "space-outside": " langsmith",
        "newline": "langsmith\n",
        "scheme": "https://ls.example.com/langsmith",
        "query": "langsmith?x=1",
        "percent": "langsmith%2Fdev",
    }.items()
)

TARGET_FIELDS = (
    target("credentials-missing", {"credentials": GONE}, "spec.credentials is required: name the Secret"),
    target("credentials-empty", {"credentials": {}}, *REQUIRED),
    target("secret-key-missing", {"credentials.ingest.secretRef": {"name": "langsmith"}}, *REQUIRED),
    target("secret-name-upper-case", {"credentials.ingest.secretRef.name": "LangSmith"}, OBJECT_NAME),
    target("secret-name-newline", {"credentials.ingest.secretRef.name": "langsmith\n"}, OBJECT_NAME),
    target("secret-name-dots", {"credentials.ingest.secretRef.name": "lang..smith"}, OBJECT_NAME),
    target("secret-name-namespaced", {"credentials.ingest.secretRef.name": "platform/langsmith"}, OBJECT_NAME),
    target("secret-name-empty", {"credentials.ingest.secretRef.name": ""}, *TOO_SHORT),
    target("secret-key-path", {"credentials.ingest.secretRef.key": "data/api-key"}, DATA_KEY),
    target("read-key-missing", {"credentials.read": {}}, *REQUIRED),
    target("workspace-name", {"workspaceId": "payments"}, WORKSPACE),
    target("workspace-no-dashes", {"workspaceId": "5f2c0a4e000040008000000000000000"}, WORKSPACE),
    target("workspace-newline", {"workspaceId": "5f2c0a4e-0000-4000-8000-000000000000\n"}, WORKSPACE),
    target("workspace-braces", {"workspaceId": "{5f2c0a4e-0000-4000-8000-000000000000}"}, WORKSPACE),
    target("ca-kind", {"caBundleRef": {"kind": "File", "name": "corp-ca"}}, *ENUM),
    target("ca-name", {"caBundleRef": {"kind": "ConfigMap", "name": "/etc/ssl/ca.pem"}}, OBJECT_NAME),
    target("project-not-allowed", {"allowedProjects": ["search"]}, "spec.project must be one of spec.allowedProjects"),
    target("allowed-projects-empty", {"allowedProjects": []}, "should have at least 1 items", "at least 1 item"),
    target("allowed-projects-twice", {"allowedProjects": ["checkout", "checkout"]}, "Duplicate value"),
    target("allowed-projects-newline", {"allowedProjects": ["checkout", "se\narch"]}, CONTROL),
    target("allowed-projects-many", {"allowedProjects": ["checkout", *map(str, range(64))]}, *TOO_MANY),
    target("consent-selector-missing", {"allowedNamespaces": {"from": "Selector"}}, CONSENT),
    target(
        "consent-selector-unused",
        {"allowedNamespaces": {"from": "All", "selector": {"matchLabels": {"team": "payments"}}}},
        CONSENT,
    ),
    target("consent-without-from", {"allowedNamespaces": {"selector": {"matchLabels": {"team": "payments"}}}}, CONSENT),
    target("consent-empty-selector", {"allowedNamespaces": {"from": "Selector", "selector": {}}}, EMPTY_SELECTOR),
    target("consent-unknown", {"allowedNamespaces": {"from": "Any"}}, *ENUM),
    target("canary-mode", {"verification.canary.mode": "Always"}, *ENUM),
    target("canary-interval-short", {"verification.canary.interval": "1m"}, CANARY_INTERVAL),
    target("canary-interval-long", {"verification.canary.interval": "721h"}, CANARY_INTERVAL),
)

INTERVALS = (
    *(
        target(f"interval-{name}", {"verification.probeInterval": text}, PROBE_INTERVAL)
        for name, text in {
            "zero": "0s",
            "negative": "-5m",
            "bare-text": "5",
            "words": "5 minutes",
            "long": "1000h",
            "short": "1s",
            "days": "1d",
            "milliseconds": "30000ms",
            "empty": "",
            "newline": "5m\n",
            "overflow": "99999h99999h99999h99999h99999h",
            "digits": "999999999999999999999s",
        }.items()
    ),
    target("interval-number", {"verification.probeInterval": 5}, "must be of type string", "should be a valid string"),
    target("interval-too-long", {"verification.probeInterval": "1m" * 17}, *TOO_LONG),
)

PROJECTS = tuple(
    make(f"project-{name}", {"project": text}, *message)
    for make in (target, gateway)
    for name, text, message in (
        ("newline", "check\nout", (CONTROL,)),
        ("newline-last", "checkout\n", (CONTROL,)),
        ("tab", "check\tout", (CONTROL,)),
        ("delete", "check\x7fout", (CONTROL,)),
        ("c1-control", "check\x85out", (CONTROL,)),
        ("space-first", " checkout", (SPACES,)),
        ("space-last", "checkout ", (SPACES,)),
        ("no-break-space", "checkout\u00a0", (SPACES,)),
        ("empty", "", TOO_SHORT),
        ("too-long", "p" * 256, TOO_LONG),
    )
)

GATEWAY_FIELDS = (
    gateway("target-missing", {"targetRef": GONE}, *REQUIRED),
    gateway("target-name-missing", {"targetRef": {}}, *REQUIRED),
    gateway("target-name-underscore", {"targetRef.name": "lang_smith"}, OBJECT_NAME),
    gateway("target-namespace", {"targetRef.namespace": "platform.svc"}, NAMESPACE_NAME),
    gateway("adapter-missing", {"gateway": {}}, *REQUIRED),
    gateway("adapter-unknown", {"gateway.type": "tyk"}, *ENUM),
    gateway("options-of-litellm", {"gateway": {"type": "otel-sdk", "litellm": {}}}, "set gateway.type: litellm"),
    gateway("options-of-otel-sdk", {"gateway.otelSdk": {"endpointStyle": "Base"}}, "set gateway.type: otel-sdk"),
    gateway("litellm-callback", {"gateway.litellm": {"callback": "langfuse"}}, *ENUM),
    *(gateway(f"inject-{type_}", {"gateway": {"type": type_}}, FILES) for type_ in ("apisix", "envoy", "kong")),
    gateway("capture-empty", {"capture": {}}, *REQUIRED),
    gateway("endpoint-style", {"gateway": {"type": "otel-sdk", "otelSdk": {"endpointStyle": "base"}}}, *ENUM),
    gateway("install-missing", {"install": GONE}, *REQUIRED),
    gateway("install-empty", {"install": {}}, "write exactly one of install.inject"),
    gateway(
        "install-both",
        {"install.reference": {"secretName": "langsmith", "workloads": {"selector": {"matchLabels": {"app": "x"}}}}},
        "write exactly one of install.inject",
    ),
    gateway("workloads-empty", {"install.inject.workloads": {}}, *REQUIRED),
    gateway("selector-empty", {SELECTOR: {}}, EMPTY_SELECTOR),
    gateway("selector-empty-labels", {SELECTOR: {"matchLabels": {}}}, EMPTY_SELECTOR),
    gateway("selector-empty-expressions", {SELECTOR: {"matchExpressions": []}}, EMPTY_SELECTOR),
    gateway("selector-both-empty", {SELECTOR: {"matchLabels": {}, "matchExpressions": []}}, EMPTY_SELECTOR),
    gateway("label-key-space", {SELECTOR: {"matchLabels": {"my app": "x"}}}, "keys of matchLabels must be label keys"),
    gateway("label-value-space", {SELECTOR: {"matchLabels": {"app": "my gateway"}}}, LABEL_VALUE),
    gateway("label-value-long", {SELECTOR: {"matchLabels": {"app": "x" * 64}}}, *TOO_LONG),
    gateway("label-value-number", {SELECTOR: {"matchLabels": {"app": 1}}}, "of type string", "a valid string"),
    *(
        gateway(f"expression-{name}", {SELECTOR: {"matchExpressions": [expression]}}, *message)
        for name, expression, message in (
            ("operator", {"key": "app", "operator": "Equals", "values": ["litellm"]}, ENUM),
            ("in-without-values", {"key": "app", "operator": "In"}, (VALUES,)),
            ("not-in-empty-values", {"key": "app", "operator": "NotIn", "values": []}, (VALUES,)),
            ("exists-with-values", {"key": "app", "operator": "Exists", "values": ["litellm"]}, (VALUES,)),
            ("does-not-exist-with-values", {"key": "app", "operator": "DoesNotExist", "values": ["x"]}, (VALUES,)),
            ("key-missing", {"operator": "Exists"}, REQUIRED),
            ("key-bad", {"key": "app/", "operator": "Exists"}, (LABEL_KEY,)),
            ("value-bad", {"key": "app", "operator": "In", "values": ["-litellm"]}, (LABEL_VALUE,)),
        )
    ),
    gateway("container-upper-case", {"install.inject.container": "LiteLLM"}, "must be the name of a container"),
    gateway("conflict-policy", {"install.inject.conflictPolicy": "Override"}, *ENUM),
    gateway("deletion-policy", {"deletionPolicy": "Delete"}, *ENUM),
    gateway("attribute-space", {"resourceAttributes": {"my team": "payments"}}, ATTRIBUTE),
    gateway("attribute-comma", {"resourceAttributes": {"team,env": "payments"}}, ATTRIBUTE),
    gateway("attribute-digit-first", {"resourceAttributes": {"1team": "payments"}}, ATTRIBUTE),
    gateway("attribute-newline", {"resourceAttributes": {"team\n": "payments"}}, ATTRIBUTE),
    gateway("attribute-long", {"resourceAttributes": {"t" * 129: "payments"}}, ATTRIBUTE),
    gateway("attribute-reserved", {"resourceAttributes": {"gatewaytelemetry.id": "me"}}, RESERVED),
    gateway("attribute-value-newline", {"resourceAttributes": {"team": "pay\nments"}}, "must not hold control"),
    gateway("attribute-value-number", {"resourceAttributes": {"team": 7}}, "of type string", "a valid string"),
    gateway("attributes-many", {"resourceAttributes": {f"a{i}": "" for i in range(33)}}, *TOO_MANY),
    gateway("unknown-field", {"traget": "x"}, 'unknown field "spec.traget"', UNKNOWN[1]),
    gateway("unknown-inner-field", {f"{SELECTOR}.matchLabel": {}}, "unknown field", UNKNOWN[1]),
)

BAD = (*FORM, *ADDRESS, *BASE_PATHS, *TARGET_FIELDS, *INTERVALS, *PROJECTS, *GATEWAY_FIELDS)

REFERENCE = {"reference": {"secretName": "traces", "workloads": {"selector": {"matchLabels": {"app": "gateway"}}}}}

GOOD = (
    target("plain", {}),
    *(target(f"region-{region}", {"saas.region": region}) for region in ("eu", "apac", "aws")),
    target("project-umlaut", {"project": "Über project"}),
    target("project-left-out", {"project": GONE}),
    target("project-null", {"project": None}),
    target("project-emoji-and-comma", {"project": "checkout, prod \U0001f680"}),
    target("project-longest", {"project": "ü" * 255}),
    target("workspace-upper-case", {"workspaceId": "5F2C0A4E-0000-4000-8000-000000000000"}),
    target("allowed-projects", {"allowedProjects": ["checkout", "search"]}),
    target("ca-default-key", {"caBundleRef": {"kind": "Secret", "name": "corp-ca.v2"}}),
    target("consent-default", {"allowedNamespaces": {}}),
    target("consent-all", {"allowedNamespaces": {"from": "All"}}),
    target(
        "consent-selector",
        {"allowedNamespaces": {"from": "Selector", "selector": {"matchLabels": {"example.com/team": "payments"}}}},
    ),
    target("intervals", {"verification": {"probeInterval": "1h30m", "canary": {"interval": "720h"}}}),
    target("interval-fraction", {"verification.probeInterval": "0.5h"}),
    target("interval-shortest", {"verification.probeInterval": "30s"}),
    target("interval-longest", {"verification.probeInterval": "1440m"}),
    target("read-key", {"credentials.read": {"secretRef": {"name": "langsmith-read", "key": "api_key.txt"}}}),
    hosted("url", {"url": "https://ls.example.com"}),
    hosted("url-ipv6", {"url": "https://[2001:db8::10]:8443/langsmith"}),
    hosted("url-idn", {"url": "https://größe.example.com"}),
    hosted("url-quoted", {"url": ' "https://ls.example.com/"\n'}),
    hosted("url-upper-case", {"url": "HTTPS://LS.Example.COM//api/v1/otel/v1/traces/"}),
    hosted("url-at-in-path", {"url": "https://ls.example.com/team@home"}),
    hosted("http-allowed", {"url": "http://ls.example.com"}, allowPlaintext=True),
    hosted("base-path", {"url": "https://ls.example.com", "basePath": "/langsmith/dev/"}),
    hosted("base-path-dots-inside", {"url": "https://ls.example.com", "basePath": "lang..smith/v1.2"}),
    hosted("service-https", {"serviceRef": {**_SERVICE, "namespace": "langsmith"}}),
    hosted("service-http", {"serviceRef": {**_SERVICE, "port": 80, "scheme": "http"}}, allowPlaintext=True),
    gateway("plain", {}),
    gateway("litellm-options", {"gateway.litellm": {"callback": "otel"}}),
    gateway("litellm-options-empty", {"gateway.litellm": {}}),
    gateway("litellm-langsmith", {"gateway.litellm": {"callback": "langsmith"}}),
    gateway("ca-installed", {"gateway.caInstalled": True}),
    gateway("capture", {"capture": {"content": False}}),
    *(gateway(f"inject-{type_}", {"gateway": {"type": type_}}) for type_ in ("portkey", "truefoundry", "kgateway")),
    *(
        gateway(f"reference-{type_}", {"gateway": {"type": type_}, "install": REFERENCE})
        for type_ in ("apisix", "bifrost", "envoy", "kong", "portkey", "traefik", "truefoundry")
    ),
    gateway("otel-sdk", {"gateway": {"type": "otel-sdk", "otelSdk": {"endpointStyle": "Full"}}}),
    gateway("target-elsewhere", {"targetRef.namespace": "platform"}),
    gateway("container", {"install.inject.container": "litellm-proxy"}),
    gateway("labels-empty-value", {SELECTOR: {"matchLabels": {"app.kubernetes.io/name": ""}}}),
    gateway(
        "expressions",
        {
            SELECTOR: {
                "matchExpressions": [
                    {"key": "app", "operator": "In", "values": ["litellm", "gateway"]},
                    {"key": "canary", "operator": "DoesNotExist"},
                    {"key": "example.com/tier", "operator": "Exists", "values": []},
                ]
            }
        },
    ),
    gateway("project-umlaut", {"project": "Über project"}),
    gateway("attributes", {"resourceAttributes": {"deployment.environment.name": "prod, eu=1", "team": "Zahlungen ü"}}),
    gateway("orphan-and-suspend", {"deletionPolicy": "Orphan", "suspend": True}),
)
