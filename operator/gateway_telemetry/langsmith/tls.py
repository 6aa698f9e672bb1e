"""TLS trust towards LangSmith, and what a failed handshake means.

The system's roots and the target's CA are trusted. OpenSSL reads SSL_CERT_FILE and SSL_CERT_DIR for the former;
REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE are not read; nothing in the environment takes the target's CA away.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway_telemetry.api.reasons import Reason

EXPIRES_SOON = timedelta(days=14)
_PEEK_TIMEOUT = 5.0
# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_BY_VERIFY_CODE = {
    9: Reason.TLS_NOT_YET_VALID,
    10: Reason.TLS_EXPIRED,
    62: Reason.TLS_WRONG_HOST,
    64: Reason.TLS_WRONG_HOST,  # the same, for an IP address
}
_NO_TLS_THERE = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
_CUT = {"UNEXPECTED_EOF_WHILE_READING"}


def context(ca_pem: str | None) -> ssl.SSLContext:
    """Return a client context that verifies host names and chains."""
    result = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    result.minimum_version = ssl.TLSVersion.TLSv1_2
    paths = ssl.get_default_verify_paths()
    # The stubs forget that both are None where nothing exists.
    known: list[str | None] = [paths.cafile, paths.capath]
    if any(path and Path(path).exists() for path in known):
        result.load_default_certs()
    else:  # an image without root certificates
        result.load_verify_locations(certifi.where())
    if ca_pem is not None:
        result.load_verify_locations(cadata=ca_pem)
    return result


def reason_of(error: ssl.SSLError, *, saas: bool) -> Reason:
    """Return what a failed handshake means."""
    if isinstance(error, ssl.SSLCertVerificationError):
        untrusted = Reason.TLS_INTERCEPTED if saas else Reason.TLS_UNTRUSTED
        return _BY_VERIFY_CODE.get(error.verify_code, untrusted)
    if error.reason in _NO_TLS_THERE:
        return Reason.TLS_NOT_SPOKEN
    if isinstance(error, ssl.SSLEOFError) or error.reason in _CUT:
        return Reason.CONNECTION_CUT
    return Reason.TLS_FAILED


@dataclass(frozen=True)
class Certificate:
    """What a person needs of a certificate.

    Attributes:
        names: the DNS names and addresses it is for.
        issuer: common name, else organization, of its issuer.
    """

    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    issuer: str

    @classmethod
    def parse(cls, der: bytes | None) -> Certificate | None:
        """Read a certificate in DER; None where there is none that can be read."""
        try:
            found = x509.load_der_x509_certificate(der or b"")
            sans = [item.value for item in found.extensions if isinstance(item.value, x509.SubjectAlternativeName)]
        except ValueError:
            return None
        names = tuple(str(name.value) for san in sans for name in san)
        oids = (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME)
        parts = [str(item.value) for oid in oids for item in found.issuer.get_attributes_for_oid(oid)]
        return cls(found.not_valid_before_utc, found.not_valid_after_utc, names, parts[0] if parts else "unnamed")

    def expires_soon(self, now: datetime) -> bool:
        """Tell whether it ends within two weeks."""
        return self.not_after - now < EXPIRES_SOON


async def peek(address: str, port: int, host: str) -> Certificate | None:
    """Return the certificate that a server shows, unverified: to explain a refusal, nothing is sent there.

    None where it shows none in time.
    """
    blind = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    blind.check_hostname = False
    blind.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PEEK_TIMEOUT):
            _, writer = await asyncio.open_connection(address, port, ssl=blind, server_hostname=host)
            der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            await writer.wait_closed()
        return Certificate.parse(der)
    except OSError:  # the refusal stands without the explanation
        return None


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and all it came from, groups included."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def explain(reason: Reason, host: str, found: Certificate | None) -> str:
    """Return what a refused certificate is, in one clause."""
    if found is None:
        return ""
    match reason:
        case Reason.TLS_EXPIRED if found.not_after > datetime.now(UTC):
            return f"A certificate above the one of {host} has expired"
        case Reason.TLS_EXPIRED:
            return f"The certificate of {host} expired on {found.not_after:%Y-%m-%d %H:%M} UTC"
        case Reason.TLS_NOT_YET_VALID:
            return f"The certificate of {host} begins on {found.not_before:%Y-%m-%d %H:%M} UTC"
        case Reason.TLS_WRONG_HOST:
            more = f" and {len(found.names) - 3} more" if len(found.names) > 3 else ""
            return f"The certificate is not for {host}: it is for {', '.join(found.names[:3]) or 'no host'}{more}"
        case Reason.TLS_UNTRUSTED | Reason.TLS_INTERCEPTED:
            return f"The certificate of {host} was issued by {found.issuer!r}, which is not trusted"
        case _:
            return ""
