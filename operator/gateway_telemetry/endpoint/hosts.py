"""Which hosts a target may name: the operator would otherwise carry keys wherever a tenant says.

SaaS hosts and Services of the target's own namespace are allowed, everything else by the
administrator's list; addresses of the node, the link and the cloud's metadata never.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from gateway_telemetry.endpoint.addresses import forbidden_address, parse_address
from gateway_telemetry.endpoint.derive import Endpoints
from gateway_telemetry.endpoint.problem import EndpointProblem

_LOOPBACK_NAMES = {"localhost", "ip6-localhost", "ip6-loopback"}
_METADATA_NAMES = {
    "instance-data",
    "instance-data.ec2.internal",
    "metadata",
    "metadata.azure.com",
    "metadata.goog",
    "metadata.google.internal",
}
_API_SERVER = {"kubernetes", "kubernetes.default"}
_PATTERN = re.compile(r"\*|(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_FLAG = "--insecure-allow-loopback"


@dataclass(frozen=True)
class HostPolicy:
    """The administrator's decision.

    Attributes:
        allowed: patterns: ``HOST``, ``*.suffix`` (not the suffix itself) or ``*``.
        insecure_allow_loopback: developer flag: loopback hosts are allowed as well.
    """

    allowed: tuple[str, ...] = ()
    insecure_allow_loopback: bool = False

    def __post_init__(self) -> None:
        """Refuse patterns that could never match as meant."""
        for pattern in self.allowed:
            if not _PATTERN.fullmatch(pattern) and parse_address(pattern.strip("[]")) is None:
                raise EndpointProblem(
                    "InvalidSpec",
                    f"{pattern!r} is no host pattern: write HOST, *.suffix or *, without scheme or port",
                )

    def check(self, endpoints: Endpoints, *, target_namespace: str, cluster_domain: str = "cluster.local") -> Endpoints:
        """Return the endpoints to use, if their host is allowed.

        A Service of the target's namespace in its two-label form (``langsmith.dev``) comes back as
        ``langsmith.dev.svc``: namespaces are often named like a public top-level domain, and a name that is no Service
        would otherwise lead to the internet.

        Raises:
            EndpointProblem: HostNotAllowed, saying which value to set.
        """
        host = endpoints.host
        if endpoints.saas:
            return endpoints
        kind = forbidden_kind(host, cluster_domain)
        if kind == "loopback":
            if self.insecure_allow_loopback:
                return endpoints
            raise _refused(
                host,
                "is a loopback address, which from the gateway's pod is the pod itself: allowedHosts cannot allow it, "
                f"only the developer flag {_FLAG} does",
            )
        if kind is not None:
            raise _refused(host, f"is {kind}, which neither allowedHosts nor {_FLAG} can allow")
        if any(_matches(host, pattern) for pattern in self.allowed):
            return endpoints
        if _own_service(host, target_namespace, cluster_domain):
            return _moved(endpoints, f"{host}.svc") if host.count(".") == 1 else endpoints
        raise _refused(
            host,
            f"is not allowed: the operator's administrator adds it with --allow-host {host} (chart value allowedHosts)",
        )


def forbidden_kind(host: str, cluster_domain: str = "cluster.local") -> str | None:
    """Return why a host is never allowed ("loopback" has its own flag), or None."""
    name = host.removesuffix(".").lower()
    if name in _LOOPBACK_NAMES or name.endswith((".localhost", ".localdomain")):
        return "loopback"
    if name in _METADATA_NAMES:
        return "a cloud metadata name"
    bare = name.removesuffix(f".{cluster_domain}").removesuffix(".svc")
    if bare in _API_SERVER or name.startswith("kubernetes.default.svc."):
        return "the Kubernetes API server"
    address = parse_address(name)
    return None if address is None else forbidden_address(address)


def _own_service(host: str, namespace: str, cluster_domain: str) -> bool:
    form = rf"[a-z0-9]([a-z0-9-]*[a-z0-9])?\.{re.escape(namespace)}(\.svc(\.{re.escape(cluster_domain)})?)?"
    return re.fullmatch(form, host) is not None


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower().strip("[]")
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and parse_address(host) is None
    address = parse_address(pattern)
    return host == (pattern if address is None else str(address))


def _moved(endpoints: Endpoints, host: str) -> Endpoints:
    def to(url: str) -> str:
        return url.replace(f"://{endpoints.host}", f"://{host}", 1)

    return replace(
        endpoints,
        api=to(endpoints.api),
        otlp=to(endpoints.otlp),
        traces=to(endpoints.traces),
        ui=None if endpoints.ui is None else to(endpoints.ui),
        host=host,
    )


def _refused(host: str, why: str) -> EndpointProblem:
    return EndpointProblem("HostNotAllowed", f"host {host} {why}")
