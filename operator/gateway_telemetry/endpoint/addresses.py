"""Which addresses no key may be sent to, in every notation that resolvers and URL parsers take."""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_METADATA: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, GCP and most others
        "169.254.170.2",  # AWS ECS
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's wire server
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS, EKS Pod Identity
        "fd20:ce::254",  # GCP
        "fd00:c1::a9fe:a9fe",  # Oracle Cloud
    )
)
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
# IPv6 forms whose last 32 bits are an IPv4 address: RFC 4291 2.5.5.1 and 2.5.5.2, RFC 2765, RFC 6052, RFC 8215.
_IPV4_IN_LAST_BITS = tuple(
    ipaddress.IPv6Network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f]+|[0-9]+")


def forbidden_address(address: Address) -> str | None:
    """Return why an address is never allowed, or None; also for addresses that DNS answered.

    IPv4 addresses inside IPv6 ones (mapped, compatible, translated, NAT64, 6to4, Teredo) count as what they lead to.
    """
    if isinstance(address, ipaddress.IPv6Address):
        address = _inner(address)
    if any(address in network for network in _METADATA):
        return "a cloud metadata address"
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    if isinstance(address, ipaddress.IPv4Address) and address in _THIS_NETWORK:
        return "loopback"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    return None


def _inner(address: ipaddress.IPv6Address) -> Address:
    """Return the IPv4 address inside an IPv6 one, else the IPv6 one itself."""
    if address.is_loopback or address.is_unspecified:
        return address
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if any(address in network for network in _IPV4_IN_LAST_BITS):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def parse_address(host: str) -> Address | None:
    """Return the address that a host is, in the forms that resolvers take: also decimal, octal and hexadecimal."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if not 1 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts):
        return None
    try:
        numbers = [int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[0] == "0" else 10) for part in parts]
    except ValueError:
        return None
    *high, last = numbers
    if any(number > 255 for number in high) or last >= 256 ** (5 - len(numbers)):
        return None
    return ipaddress.IPv4Address(last + sum(number << (8 * (3 - position)) for position, number in enumerate(high)))


def looks_numeric(host: str) -> bool:
    """Tell whether a host ends in a number, so that URL parsers take it for IPv4 or for nothing at all.

    https://url.spec.whatwg.org/#ends-in-a-number-checker
    """
    return _NUMBER.fullmatch(host.rsplit(".", 1)[-1]) is not None
