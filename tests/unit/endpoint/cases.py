"""What people write or paste, and the URLs that it becomes or the reason why not; every value is literal."""

from __future__ import annotations

from typing import NamedTuple


class Becomes(NamedTuple):
    """An input of ``self_hosted``, and its OTLP base and full traces URL; ``base`` is selfHosted.basePath."""

    name: str
    url: str
    otlp: str
    traces: str
    base: str | None = None
    plaintext: bool = False


class Refused(NamedTuple):
    """An input that is refused: reason, field, and a part of the message that says what to write."""

    name: str
    url: str
    reason: str
    message: str
    base: str | None = None
    plaintext: bool = False
    field: str = "selfHosted.url"


class Service(NamedTuple):
    """An in-cluster Service."""

    name: str
    port: int
    scheme: str
    base: str | None
    api: str
    otlp: str
    traces: str
    advice: str | None = None


ROOT = ("https://ls.example.internal/api/v1/otel", "https://ls.example.internal/api/v1/otel/v1/traces")
ONE = (
    "https://ls.example.internal/langsmith/api/v1/otel",
    "https://ls.example.internal/langsmith/api/v1/otel/v1/traces",
)
TWO = (
    "https://ls.example.internal/langsmith/dev/api/v1/otel",
    "https://ls.example.internal/langsmith/dev/api/v1/otel/v1/traces",
)
US = ("https://api.smith.langchain.com/otel", "https://api.smith.langchain.com/otel/v1/traces")
EU = ("https://eu.api.smith.langchain.com/otel", "https://eu.api.smith.langchain.com/otel/v1/traces")
APAC = ("https://apac.api.smith.langchain.com/otel", "https://apac.api.smith.langchain.com/otel/v1/traces")
AWS = ("https://aws.api.smith.langchain.com/otel", "https://aws.api.smith.langchain.com/otel/v1/traces")
PLAIN = ("http://ls.example.internal/api/v1/otel", "http://ls.example.internal/api/v1/otel/v1/traces")

FORMS: tuple[Becomes, ...] = (
    # self-hosted at the root
    Becomes("root", "https://ls.example.internal", *ROOT),
    Becomes("root, slash", "https://ls.example.internal/", *ROOT),
    Becomes("root, two slashes", "https://ls.example.internal//", *ROOT),
    Becomes("root, /api", "https://ls.example.internal/api", *ROOT),
    Becomes("root, /api/", "https://ls.example.internal/api/", *ROOT),
    Becomes("root, /api/v1", "https://ls.example.internal/api/v1", *ROOT),
    Becomes("root, /api/v1//", "https://ls.example.internal/api/v1//", *ROOT),
    Becomes("root, /api/v2", "https://ls.example.internal/api/v2", *ROOT),
    Becomes("root, /otel", "https://ls.example.internal/otel", *ROOT),
    Becomes("root, /otel/v1", "https://ls.example.internal/otel/v1", *ROOT),
    Becomes("root, /otel/v1/traces", "https://ls.example.internal/otel/v1/traces", *ROOT),
    Becomes("root, /v1/traces", "https://ls.example.internal/v1/traces", *ROOT),
    Becomes("root, /api/otel", "https://ls.example.internal/api/otel", *ROOT),
    Becomes("root, /api/otel/v1/traces", "https://ls.example.internal/api/otel/v1/traces", *ROOT),
    Becomes("root, OTLP base", "https://ls.example.internal/api/v1/otel", *ROOT),
    Becomes("root, OTLP base, slash", "https://ls.example.internal/api/v1/otel/", *ROOT),
    Becomes("root, /api/v1/otel/v1", "https://ls.example.internal/api/v1/otel/v1", *ROOT),
    Becomes("root, full URL (C01)", "https://ls.example.internal/api/v1/otel/v1/traces", *ROOT),
    Becomes("root, full URL, slash (C07)", "https://ls.example.internal/api/v1/otel/v1/traces/", *ROOT),
    Becomes("root, full URL, slashes (C07)", "https://ls.example.internal//api/v1//otel/v1/traces//", *ROOT),
    Becomes("root, doubled /v1/traces", "https://ls.example.internal/api/v1/otel/v1/traces/v1/traces", *ROOT),
    Becomes("root, doubled otel", "https://ls.example.internal/otel/v1/traces/otel/v1/traces", *ROOT),
    Becomes("root, doubled all", "https://ls.example.internal/api/v1/otel/v1/traces/api/v1/otel/v1/traces", *ROOT),
    Becomes("root, doubled /api/v1", "https://ls.example.internal/api/v1/api/v1", *ROOT),
    # one segment in front
    Becomes("one, as it is", "https://ls.example.internal/langsmith", *ONE),
    Becomes("one, slash", "https://ls.example.internal/langsmith/", *ONE),
    Becomes("one, slashes", "https://ls.example.internal//langsmith//", *ONE),
    Becomes("one, /api", "https://ls.example.internal/langsmith/api", *ONE),
    Becomes("one, /api/v1", "https://ls.example.internal/langsmith/api/v1", *ONE),
    Becomes("one, /otel", "https://ls.example.internal/langsmith/otel", *ONE),
    Becomes("one, /otel/v1/traces", "https://ls.example.internal/langsmith/otel/v1/traces", *ONE),
    Becomes("one, OTLP base", "https://ls.example.internal/langsmith/api/v1/otel", *ONE),
    Becomes("one, full URL", "https://ls.example.internal/langsmith/api/v1/otel/v1/traces", *ONE),
    Becomes("one, full URL, slash", "https://ls.example.internal/langsmith/api/v1/otel/v1/traces/", *ONE),
    Becomes("one, by basePath", "https://ls.example.internal", *ONE, base="langsmith"),
    Becomes("one, by basePath with slashes", "https://ls.example.internal/", *ONE, base="/langsmith/"),
    Becomes("one, basePath and /api/v1", "https://ls.example.internal/api/v1", *ONE, base="langsmith"),
    Becomes("one, basePath and full URL", "https://ls.example.internal/otel/v1/traces", *ONE, base="langsmith"),
    Becomes("one, in both", "https://ls.example.internal/langsmith", *ONE, base="langsmith"),
    Becomes(
        "one, in both, full URL", "https://ls.example.internal/langsmith/api/v1/otel/v1/traces", *ONE, base="langsmith"
    ),
    # two segments in front
    Becomes("two, as it is", "https://ls.example.internal/langsmith/dev", *TWO),
    Becomes("two, slash", "https://ls.example.internal/langsmith/dev/", *TWO),
    Becomes("two, doubled slash within", "https://ls.example.internal/langsmith//dev", *TWO),
    Becomes("two, /api", "https://ls.example.internal/langsmith/dev/api", *TWO),
    Becomes("two, /api/v1", "https://ls.example.internal/langsmith/dev/api/v1", *TWO),
    Becomes("two, /otel", "https://ls.example.internal/langsmith/dev/otel", *TWO),
    Becomes("two, OTLP base", "https://ls.example.internal/langsmith/dev/api/v1/otel", *TWO),
    Becomes("two, full URL", "https://ls.example.internal/langsmith/dev/api/v1/otel/v1/traces", *TWO),
    Becomes("two, by basePath", "https://ls.example.internal", *TWO, base="langsmith/dev"),
    Becomes("two, in both", "https://ls.example.internal/langsmith/dev/api/v1", *TWO, base="langsmith/dev"),
    # prefixes that look like the API, and are kept
    Becomes(
        "prefix named api",
        "https://ls.example.internal/api/api/v1",
        "https://ls.example.internal/api/api/v1/otel",
        "https://ls.example.internal/api/api/v1/otel/v1/traces",
    ),
    Becomes(
        "prefix named otel",
        "https://ls.example.internal",
        "https://ls.example.internal/otel/api/v1/otel",
        "https://ls.example.internal/otel/api/v1/otel/v1/traces",
        base="otel",
    ),
    Becomes(
        "prefix named v1",
        "https://ls.example.internal/v1/api/v1",
        "https://ls.example.internal/v1/api/v1/otel",
        "https://ls.example.internal/v1/api/v1/otel/v1/traces",
    ),
    Becomes(
        "prefix that only begins like the API",
        "https://ls.example.internal/api-gateway/otelcol",
        "https://ls.example.internal/api-gateway/otelcol/api/v1/otel",
        "https://ls.example.internal/api-gateway/otelcol/api/v1/otel/v1/traces",
    ),
    Becomes(
        "prefix with an escape, kept as written",
        "https://ls.example.internal/%C3%A4/x~y",
        "https://ls.example.internal/%C3%A4/x~y/api/v1/otel",
        "https://ls.example.internal/%C3%A4/x~y/api/v1/otel/v1/traces",
    ),
    # what surrounds a pasted URL
    Becomes("spaces", "  https://ls.example.internal  ", *ROOT),
    Becomes("newline (C18)", "https://ls.example.internal/api/v1\n", *ROOT),
    Becomes("carriage return", "https://ls.example.internal\r\n", *ROOT),
    Becomes("tab", "\thttps://ls.example.internal/langsmith\t", *ONE),
    Becomes("no-break space", "\u00a0https://ls.example.internal\u00a0", *ROOT),
    Becomes("double quotes", '"https://ls.example.internal"', *ROOT),
    Becomes("single quotes", "'https://ls.example.internal/langsmith'", *ONE),
    Becomes("quotes and newline", '"https://ls.example.internal/api/v1"\n', *ROOT),
    Becomes("spaces in quotes", "' https://ls.example.internal '", *ROOT),
    Becomes("two kinds of quotes", "\"'https://ls.example.internal'\"", *ROOT),
    # case
    Becomes("upper-case scheme", "HTTPS://ls.example.internal", *ROOT),
    Becomes("upper-case host", "https://LS.Example.INTERNAL", *ROOT),
    Becomes(
        "case of the path is kept (C19)",
        "HTTPS://LS.Example.Internal:443/LangSmith",
        "https://ls.example.internal/LangSmith/api/v1/otel",
        "https://ls.example.internal/LangSmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "case of basePath is kept",
        "https://ls.example.internal",
        "https://ls.example.internal/LangSmith/Dev/api/v1/otel",
        "https://ls.example.internal/LangSmith/Dev/api/v1/otel/v1/traces",
        base="LangSmith/Dev",
    ),
    # ports
    Becomes("default port", "https://ls.example.internal:443", *ROOT),
    Becomes("default port with path", "https://ls.example.internal:443/langsmith/api/v1", *ONE),
    Becomes("empty port", "https://ls.example.internal:/langsmith", *ONE),
    Becomes("port with zeros", "https://ls.example.internal:00443", *ROOT),
    Becomes(
        "other port (C05)",
        "https://ls.example.internal:8443/team/langsmith",
        "https://ls.example.internal:8443/team/langsmith/api/v1/otel",
        "https://ls.example.internal:8443/team/langsmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "port 80 over TLS",
        "https://ls.example.internal:80",
        "https://ls.example.internal:80/api/v1/otel",
        "https://ls.example.internal:80/api/v1/otel/v1/traces",
    ),
    Becomes(
        "highest port",
        "https://ls.example.internal:65535/api/v1/otel/v1/traces",
        "https://ls.example.internal:65535/api/v1/otel",
        "https://ls.example.internal:65535/api/v1/otel/v1/traces",
    ),
    # http with consent
    Becomes("http (C10)", "http://ls.example.internal", *PLAIN, plaintext=True),
    Becomes("http, upper case", "HTTP://LS.EXAMPLE.INTERNAL/", *PLAIN, plaintext=True),
    Becomes("http, default port", "http://ls.example.internal:80/api/v1", *PLAIN, plaintext=True),
    Becomes("http, full URL", "http://ls.example.internal/api/v1/otel/v1/traces", *PLAIN, plaintext=True),
    Becomes("consent does not weaken https", "https://ls.example.internal", *ROOT, plaintext=True),
    Becomes(
        "http, port 443",
        "http://ls.example.internal:443",
        "http://ls.example.internal:443/api/v1/otel",
        "http://ls.example.internal:443/api/v1/otel/v1/traces",
        plaintext=True,
    ),
    Becomes(
        "http, other port and prefix",
        "http://ls.example.internal:1984/langsmith/dev",
        "http://ls.example.internal:1984/langsmith/dev/api/v1/otel",
        "http://ls.example.internal:1984/langsmith/dev/api/v1/otel/v1/traces",
        plaintext=True,
    ),
    # hosts
    Becomes("trailing dot", "https://ls.example.internal./langsmith", *ONE),
    Becomes(
        "one label",
        "https://langsmith",
        "https://langsmith/api/v1/otel",
        "https://langsmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "underscore",
        "https://lang_smith.example.internal",
        "https://lang_smith.example.internal/api/v1/otel",
        "https://lang_smith.example.internal/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv4",
        "https://10.20.30.40:8443/api/v1",
        "https://10.20.30.40:8443/api/v1/otel",
        "https://10.20.30.40:8443/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv4 as one number",
        "https://169090600",
        "https://10.20.30.40/api/v1/otel",
        "https://10.20.30.40/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv4 in hexadecimal and octal",
        "https://0x0a.024.30.40",
        "https://10.20.30.40/api/v1/otel",
        "https://10.20.30.40/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv6",
        "https://[fd00::1]",
        "https://[fd00::1]/api/v1/otel",
        "https://[fd00::1]/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv6 written out, port and prefix",
        "https://[FD00:0000:0:0:0:0:0:0001]:8443/langsmith",
        "https://[fd00::1]:8443/langsmith/api/v1/otel",
        "https://[fd00::1]:8443/langsmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IPv6 with the default port",
        "https://[fd00::1]:443/api",
        "https://[fd00::1]/api/v1/otel",
        "https://[fd00::1]/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IDN",
        "https://bücher.example/langsmith",
        "https://xn--bcher-kva.example/langsmith/api/v1/otel",
        "https://xn--bcher-kva.example/langsmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IDN in upper case",
        "https://BÜCHER.example",
        "https://xn--bcher-kva.example/api/v1/otel",
        "https://xn--bcher-kva.example/api/v1/otel/v1/traces",
    ),
    Becomes(
        "IDN as Punycode",
        "https://XN--BCHER-KVA.example",
        "https://xn--bcher-kva.example/api/v1/otel",
        "https://xn--bcher-kva.example/api/v1/otel/v1/traces",
    ),
    Becomes("wide letters and an ideographic full stop", "https://\uff4c\uff53\u3002example\u3002internal", *ROOT),
    Becomes(
        "IDN with ß",
        "https://straße.example:8443",
        "https://xn--strae-oqa.example:8443/api/v1/otel",
        "https://xn--strae-oqa.example:8443/api/v1/otel/v1/traces",
    ),
    # in-cluster names, by URL
    Becomes(
        "Service, name.ns",
        "http://langsmith-frontend.langsmith",
        "http://langsmith-frontend.langsmith/api/v1/otel",
        "http://langsmith-frontend.langsmith/api/v1/otel/v1/traces",
        plaintext=True,
    ),
    Becomes(
        "Service, name.ns.svc",
        "http://langsmith-frontend.langsmith.svc:80/api/v1",
        "http://langsmith-frontend.langsmith.svc/api/v1/otel",
        "http://langsmith-frontend.langsmith.svc/api/v1/otel/v1/traces",
        plaintext=True,
    ),
    Becomes(
        "Service, full name",
        "https://langsmith-frontend.langsmith.svc.cluster.local:443/langsmith",
        "https://langsmith-frontend.langsmith.svc.cluster.local/langsmith/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc.cluster.local/langsmith/api/v1/otel/v1/traces",
    ),
    Becomes(
        "Service, full name with dot",
        "https://langsmith-frontend.langsmith.svc.cluster.local.",
        "https://langsmith-frontend.langsmith.svc.cluster.local/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc.cluster.local/api/v1/otel/v1/traces",
    ),
    # LangSmith's own service under selfHosted.url
    Becomes("us", "https://api.smith.langchain.com", *US),
    Becomes("us, OTLP base", "https://api.smith.langchain.com/otel", *US),
    Becomes("us, full URL", "https://api.smith.langchain.com/otel/v1/traces", *US),
    Becomes("us, /api/v1 of the REST API", "https://api.smith.langchain.com/api/v1", *US),
    Becomes("us, self-hosted path", "https://api.smith.langchain.com/api/v1/otel/v1/traces", *US),
    Becomes("us, doubled", "https://api.smith.langchain.com/otel/v1/traces/v1/traces", *US),
    Becomes("us, upper case, port, dot", "HTTPS://API.Smith.LangChain.com.:443/", *US),
    Becomes("eu", "https://eu.api.smith.langchain.com", *EU),
    Becomes("eu, slash", "https://eu.api.smith.langchain.com/", *EU),
    Becomes("eu, OTLP base", "https://eu.api.smith.langchain.com/otel", *EU),
    Becomes("eu, full URL in quotes", "'https://eu.api.smith.langchain.com/otel/v1/traces'\n", *EU),
    Becomes("eu, consent to http changes nothing", "https://eu.api.smith.langchain.com", *EU, plaintext=True),
    Becomes("apac", "https://apac.api.smith.langchain.com/api", *APAC),
    Becomes("apac, full URL", "https://apac.api.smith.langchain.com/otel/v1/traces/", *APAC),
    Becomes("aws", "https://aws.api.smith.langchain.com/otel/v1", *AWS),
    Becomes("aws, full URL", "https://aws.api.smith.langchain.com//otel/v1/traces", *AWS),
)

REFUSED: tuple[Refused, ...] = (
    Refused("empty", "", "InvalidURL", "the URL is empty: write https:// and the host"),
    Refused("only spaces", " \n", "InvalidURL", "the URL is empty"),
    Refused("only quotes", "''", "InvalidURL", "the URL is empty"),
    Refused("too long", "https://ls.example.internal/" + "a" * 2048, "InvalidURL", "longer than 2048 characters"),
    Refused("space within", "https://ls.example .internal", "InvalidURL", "a space, control character or backslash"),
    Refused("newline within (C18)", "https://ls.example.internal\n/x", "InvalidURL", "a space, control character"),
    Refused("NUL", "https://ls.example.internal/\x00", "InvalidURL", "control character"),
    Refused("backslash", "https://ls.example.internal\\@evil.example", "InvalidURL", "backslash"),
    Refused("no scheme", "ls.example.internal", "MissingScheme", "write https://HOST"),
    Refused("no scheme, port", "ls.example.internal:8443/api/v1", "MissingScheme", "write https://HOST"),
    Refused("no scheme, slashes", "//ls.example.internal", "MissingScheme", "write https://HOST"),
    Refused("one slash", "https:/ls.example.internal", "MissingScheme", "write https://HOST"),
    Refused("ftp", "ftp://ls.example.internal", "UnsupportedScheme", "not ftp: write https://"),
    Refused("grpc", "grpc://ls.example.internal:4317", "UnsupportedScheme", "OTLP over HTTP only, not grpc"),
    Refused("grpcs", "GRPCS://ls.example.internal", "UnsupportedScheme", "not grpcs"),
    Refused("http without consent (C10)", "http://ls.example.internal", "InsecureScheme", "spec.allowPlaintext: true"),
    Refused("HTTP without consent", "HTTP://ls.example.internal", "InsecureScheme", "spec.allowPlaintext: true"),
    Refused(
        "http for us",
        "http://api.smith.langchain.com",
        "InsecureScheme",
        "write https://api.smith.langchain.com",
        plaintext=True,
    ),
    Refused(
        "http for eu, also with consent",
        "http://eu.api.smith.langchain.com/otel",
        "InsecureScheme",
        "write https://eu.api.smith.langchain.com",
        plaintext=True,
    ),
    Refused("user and password (C16)", "https://user:pa55@ls.example.internal", "UserInfoNotAllowed", "into a Secret"),
    Refused("user", "https://user@ls.example.internal/api/v1", "UserInfoNotAllowed", "remove it"),
    Refused("empty user", "https://@ls.example.internal", "UserInfoNotAllowed", "remove it"),
    Refused("userinfo and query", "https://a:b@ls.example.internal?x=1", "UserInfoNotAllowed", "remove it"),
    Refused("query", "https://ls.example.internal/otel?x=1", "QueryNotAllowed", "only scheme, host, port and path"),
    Refused("empty query", "https://ls.example.internal?", "QueryNotAllowed", "a query or fragment"),
    Refused("fragment", "https://ls.example.internal/#/projects", "QueryNotAllowed", "a query or fragment"),
    Refused("empty host", "https://", "InvalidURL", "no valid host"),
    Refused("empty host, path", "https:///api/v1", "InvalidURL", "no valid host"),
    Refused("empty host, port", "https://:8443", "InvalidURL", "no valid host"),
    Refused("dots only", "https://...", "InvalidURL", "no valid host"),
    Refused("empty label", "https://ls..example", "InvalidURL", "no valid host"),
    Refused("label begins with a hyphen", "https://-ls.example", "InvalidURL", "no valid host"),
    Refused("label too long", f"https://{'a' * 64}.example", "InvalidURL", "no valid host"),
    Refused("host too long", f"https://{'a' * 50}{'.aaaa' * 50}", "InvalidURL", "no valid host"),
    Refused("escape in the host", "https://ls%2eexample.internal", "InvalidURL", "no valid host"),
    Refused("star", "https://*.example.internal", "InvalidURL", "no valid host"),
    Refused("bad IDN", "https://\u0301.example", "InvalidURL", "not a valid internationalised name"),
    Refused("character that hides a slash", "https://ls.example\uff0f.internal", "InvalidURL", "cannot be read"),
    Refused("IPv4 too large", "https://256.1.1.1", "InvalidURL", "is no IPv4 address"),
    Refused("IPv4 with five numbers", "https://1.2.3.4.5", "InvalidURL", "is no IPv4 address"),
    Refused("name that ends in a number", "https://langsmith.5a.5", "InvalidURL", "is no IPv4 address"),
    Refused("octal with 8", "https://08.1.1.1", "InvalidURL", "is no IPv4 address"),
    Refused("IPv6 unclosed", "https://[fd00::1", "InvalidURL", "is not IPv6"),
    Refused("IPv6 wrong", "https://[fd00::zz]", "InvalidURL", "is not IPv6"),
    Refused("IPv4 in brackets", "https://[10.0.0.1]", "InvalidURL", "is not IPv6"),
    Refused("IPv6 with a zone", "https://[fe80::1%eth0]", "InvalidURL", "is not IPv6"),
    Refused("IPv6 with an escaped zone", "https://[fd00:ec2::254%25eth0]", "InvalidURL", "is not IPv6"),
    Refused("name before brackets", "https://evil[fd00::1]", "InvalidURL", "is not IPv6"),
    Refused("name behind brackets", "https://[fd00::1]evil", "InvalidURL", "is not IPv6"),
    Refused("IPv6 with a wrong port", "https://[fd00::1]:x", "InvalidURL", "host or port of the URL"),
    Refused("IPv6 without brackets", "https://fd00::1", "InvalidURL", "host or port of the URL"),
    Refused("port 0", "https://ls.example.internal:0", "InvalidURL", "port 0 does not exist"),
    Refused("port too high", "https://ls.example.internal:65536", "InvalidURL", "host or port of the URL"),
    Refused("port as a word", "https://ls.example.internal:https", "InvalidURL", "host or port of the URL"),
    Refused("negative port", "https://ls.example.internal:-1", "InvalidURL", "host or port of the URL"),
    Refused("two ports", "https://ls.example.internal:1:2", "InvalidURL", "host or port of the URL"),
    Refused("..", "https://ls.example.internal/langsmith/../admin", "InvalidURL", "the path holds '.', '..'"),
    Refused(".", "https://ls.example.internal/./langsmith", "InvalidURL", "the path holds '.', '..'"),
    Refused("escaped ..", "https://ls.example.internal/%2e%2E/admin", "InvalidURL", "the path holds '.', '..'"),
    Refused("half escaped ..", "https://ls.example.internal/.%2e/admin", "InvalidURL", "the path holds '.', '..'"),
    Refused("escaped slash", "https://ls.example.internal/team%2Flangsmith", "InvalidURL", "write the plain path"),
    Refused("escaped newline", "https://ls.example.internal/api/v1%0A", "InvalidURL", "write the plain path"),
    Refused("bad escape", "https://ls.example.internal/100%", "InvalidURL", "write the plain path"),
    Refused("umlaut in the path", "https://ls.example.internal/größe", "InvalidURL", "write the plain path"),
    Refused("braces", "https://ls.example.internal/{{.Values.basePath}}", "InvalidURL", "plain path"),
    Refused("REST call", "https://ls.example.internal/api/v1/sessions", "InvalidURL", "behind LangSmith's /api/v1"),
    Refused("metrics", "https://ls.example.internal/api/v1/otel/v1/metrics", "InvalidURL", "behind LangSmith's"),
    Refused("logs at a SaaS path", "https://ls.example.internal/otel/v1/logs", "InvalidURL", "behind LangSmith's"),
    Refused(
        "page of the web app",
        "https://ls.example.internal/o/11112222-0000-4000-8000-000000000000/projects/p/2222",
        "UIURLNotAPIURL",
        "write only scheme, host and, where there is one, the base path",
    ),
    Refused(
        "page of the web app below a prefix",
        "https://ls.example.internal/langsmith/o/1111/settings",
        "UIURLNotAPIURL",
        "this is a page of the web app",
    ),
    Refused(
        "page of the web app beats basePath",
        "https://ls.example.internal/o/1111/projects/p/2222",
        "UIURLNotAPIURL",
        "this is a page of the web app",
        base="langsmith",
    ),
    Refused(
        "web app of us",
        "https://smith.langchain.com",
        "UIURLNotAPIURL",
        "its API is https://api.smith.langchain.com: write spec.saas.region: us",
    ),
    Refused(
        "web app of eu (C08)",
        "https://eu.smith.langchain.com/o/1111/projects/p/2222",
        "UIURLNotAPIURL",
        "its API is https://eu.api.smith.langchain.com: write spec.saas.region: eu",
    ),
    Refused(
        "web app of apac",
        "https://APAC.smith.langchain.com/otel/v1/traces",
        "UIURLNotAPIURL",
        "https://apac.api.smith.langchain.com",
    ),
    Refused(
        "web app of aws, http",
        "http://aws.smith.langchain.com.",
        "UIURLNotAPIURL",
        "https://aws.api.smith.langchain.com",
    ),
    Refused(
        "words of the host swapped",
        "https://api.eu.smith.langchain.com",
        "InvalidURL",
        "write spec.saas.region (us, eu, apac, aws)",
    ),
    Refused(
        "another service of LangSmith",
        "https://gateway.smith.langchain.com/otel",
        "InvalidURL",
        "takes no traces; the API hosts of LangSmith's service are api.smith.langchain.com, eu.api.smith",
    ),
    Refused("prefix on us", "https://api.smith.langchain.com/langsmith", "InvalidURL", "has no path /langsmith"),
    Refused("port on eu", "https://eu.api.smith.langchain.com:8443", "InvalidURL", "has no port 8443"),
    Refused(
        "basePath on us",
        "https://api.smith.langchain.com",
        "InvalidBasePath",
        "has no base path: write spec.saas.region: us",
        base="langsmith",
        field="selfHosted.basePath",
    ),
    Refused(
        "two prefixes",
        "https://ls.example.internal/langsmith",
        "InvalidBasePath",
        "selfHosted.url ends in /langsmith and selfHosted.basePath is langsmith/dev: write the prefix in one",
        base="langsmith/dev",
        field="selfHosted.basePath",
    ),
)

BASE_PATHS_REFUSED: tuple[tuple[str, str, str], ...] = (
    ("empty", "", "basePath is written like langsmith or langsmith/dev"),
    ("slash", "/", "basePath is written like langsmith or langsmith/dev"),
    ("space", " ", "basePath is written like langsmith or langsmith/dev"),
    ("..", "langsmith/../admin", "no '..'"),
    (".", "./langsmith", "no '..'"),
    ("escaped ..", "langsmith/%2e%2e", "no '..'"),
    ("escaped slash", "langsmith%2Fdev", "basePath is written like"),
    ("empty segment", "langsmith//dev", "no empty segments"),
    ("inner space", "lang smith", "no spaces"),
    ("newline in a segment", "langsmith\n/dev", "no spaces"),
    ("query", "langsmith?x=1", "basePath is written like"),
    ("fragment", "langsmith#x", "basePath is written like"),
    ("URL", "https://ls.example.internal/langsmith", "basePath is written like"),
    ("API path alone", "api/v1", "write only what stands before /api/v1, or leave it out"),
    ("API path behind it", "langsmith/api/v1", "write only what stands before /api/v1"),
    ("traces path behind it", "langsmith/otel/v1/traces", "write only what stands before /api/v1"),
)

SERVICES: tuple[Service, ...] = (
    Service(
        "http 80",
        80,
        "http",
        None,
        "http://langsmith-frontend.langsmith.svc/api/v1",
        "http://langsmith-frontend.langsmith.svc/api/v1/otel",
        "http://langsmith-frontend.langsmith.svc/api/v1/otel/v1/traces",
    ),
    Service(
        "http 80, one segment",
        80,
        "http",
        "langsmith",
        "http://langsmith-frontend.langsmith.svc/langsmith/api/v1",
        "http://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel",
        "http://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
    ),
    Service(
        "http 8080, two segments",
        8080,
        "http",
        "/langsmith/dev/",
        "http://langsmith-frontend.langsmith.svc:8080/langsmith/dev/api/v1",
        "http://langsmith-frontend.langsmith.svc:8080/langsmith/dev/api/v1/otel",
        "http://langsmith-frontend.langsmith.svc:8080/langsmith/dev/api/v1/otel/v1/traces",
    ),
    Service(
        "http 443",
        443,
        "http",
        None,
        "http://langsmith-frontend.langsmith.svc:443/api/v1",
        "http://langsmith-frontend.langsmith.svc:443/api/v1/otel",
        "http://langsmith-frontend.langsmith.svc:443/api/v1/otel/v1/traces",
        "port 443 of LangSmith's frontend speaks http only while frontend.ssl.enabled is off",
    ),
    Service(
        "https 443",
        443,
        "https",
        None,
        "https://langsmith-frontend.langsmith.svc/api/v1",
        "https://langsmith-frontend.langsmith.svc/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc/api/v1/otel/v1/traces",
        "port 443 of LangSmith's frontend speaks https only while frontend.ssl.enabled is on",
    ),
    Service(
        "https 443, one segment",
        443,
        "https",
        "langsmith",
        "https://langsmith-frontend.langsmith.svc/langsmith/api/v1",
        "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc/langsmith/api/v1/otel/v1/traces",
        "port 443 of LangSmith's frontend speaks https only while frontend.ssl.enabled is on",
    ),
    Service(
        "https 80",
        80,
        "https",
        None,
        "https://langsmith-frontend.langsmith.svc:80/api/v1",
        "https://langsmith-frontend.langsmith.svc:80/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc:80/api/v1/otel/v1/traces",
        "port 80 of LangSmith's frontend speaks https only while frontend.ssl.enabled is on",
    ),
    Service(
        "https 8443, two segments",
        8443,
        "https",
        "langsmith/dev",
        "https://langsmith-frontend.langsmith.svc:8443/langsmith/dev/api/v1",
        "https://langsmith-frontend.langsmith.svc:8443/langsmith/dev/api/v1/otel",
        "https://langsmith-frontend.langsmith.svc:8443/langsmith/dev/api/v1/otel/v1/traces",
    ),
)
