"""Which hosts a target may name: the operator would otherwise carry keys wherever a tenant says.

SaaS hosts and Services of the target's own namespace are allowed, everything else by the
administrator's list; addresses of the node, the link and the cloud's metadata never.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from gateway_telemetry.endpoint.derive import Endpoints
from gateway_telemetry.endpoint.problem import EndpointProblem

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA_NAMES = {"metadata.google.internal", "metadata", "metadata.goog", "instance-data", "metadata.azure.com"}
_METADATA = {
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
_API_SERVER = {"kubernetes", "kubernetes.default"}


@dataclass(frozen=True)
class HostPolicy:
    """The administrator's decision.

    Attributes:
        allowed: patterns: ``HOST``, ``*.suffix`` or ``*``.
        insecure_allow_loopback: developer flag: loopback hosts are allowed as well.
    """

    allowed: tuple[str, ...] = ()
    insecure_allow_loopback: bool = False

    def __post_init__(self) -> None:
        """Refuse patterns that could never match as meant."""
        for pattern in self.allowed:
            if not re.match(r"^(\*|(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[?[0-9A-Fa-f:.]+\]?)$", pattern):
                raise EndpointProblem(
                    "InvalidSpec",
                    f"{pattern!r} is no host pattern: write HOST, *.suffix or *, without scheme or port",
                )

    def check(self, endpoints: Endpoints, *, target_namespace: str, cluster_domain: str = "cluster.local") -> None:
        """Refuse a host that is not allowed.

        Raises:
            EndpointProblem: HostNotAllowed, saying which value to set.
        """
        host = endpoints.host
        if endpoints.saas:
            return
        kind = forbidden_kind(host, cluster_domain)
        if kind == "loopback":
            if self.insecure_allow_loopback:
                return
            raise _refused(host, "is a loopback address, which from the gateway's pod is the pod itself")
        if kind is not None:
            raise _refused(host, f"is {kind}, which is never allowed")
        if _own_service(host, target_namespace, cluster_domain) or any(_matches(host, item) for item in self.allowed):
            return
        raise _refused(
            host, f"is not allowed: the operator's administrator adds it with --allow-host {host} (chart: allowedHosts)"
        )


def forbidden_kind(host: str, cluster_domain: str = "cluster.local") -> str | None:
    """Return why a host is never allowed ("loopback" has its own flag), or None."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".localdomain")):
        return "loopback"
    if name in _METADATA_NAMES:
        return "a cloud metadata name"
    bare = name.removesuffix(f".{cluster_domain}").removesuffix(".svc")
    if bare in _API_SERVER:
        return "the Kubernetes API server"
    address = parse_address(name)
    return None if address is None else forbidden_address(address)


def forbidden_address(address: Address) -> str | None:
    """Return why an address is never allowed, or None; also for addresses that DNS answered."""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address in _METADATA:
        return "a cloud metadata address"
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified:
        return "loopback"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    return None


def parse_address(host: str) -> Address | None:
    """Return the address that a host is, in the forms that resolvers take: also decimal, octal and hexadecimal."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = []
    for part in parts:
        if not re.match(r"^(0[xX][0-9A-Fa-f]+|[0-9]+)$", part):
            return None
        try:
            numbers.append(int(part, 16 if part.lower().startswith("0x") else 8 if part.startswith("0") else 10))
        except ValueError:
            return None
    *high, last = numbers
    if any(number > 255 for number in high) or last >= 256 ** (5 - len(numbers)):
        return None
    value = last
    for position, number in enumerate(high):
        value += number << (8 * (3 - position))
    return ipaddress.IPv4Address(value)


def _own_service(host: str, namespace: str, cluster_domain: str) -> bool:
    bare = host.removesuffix(f".{cluster_domain}")
    in_cluster = bare != host or bare.endswith(".svc") or bare.count(".") == 1
    return in_cluster and re.match(rf"^[a-z0-9-]+\.{re.escape(namespace)}(\.svc)?$", bare) is not None


def _matches(host: str, pattern: str) -> bool:
    pattern = pattern.lower().strip("[]")
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and host != pattern[2:]
    return host == pattern


def _refused(host: str, why: str) -> EndpointProblem:
    return EndpointProblem("HostNotAllowed", f"host {host} {why}")
