"""Private certificate authorities and server certificates, good and bad, as files."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import trustme


@dataclass(frozen=True)
class ServerCert:
    """A server's certificate chain and key, and the CA bundle by which clients trust it; all PEM files."""

    certificate: Path
    key: Path
    ca_bundle: Path | None = None

    def server_context(self) -> ssl.SSLContext:
        """Return the context a server presents this certificate with."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class CertificateAuthority:
    """A private CA below a directory of the test's own.

    Example:
        >>> ca = CertificateAuthority(tmp_path)  # doctest: +SKIP
        >>> good = ca.server("127.0.0.1", "langsmith.example.com")  # doctest: +SKIP
        >>> expired = ca.server("127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))  # doctest: +SKIP
        >>> wrong_name = ca.server("other.example.com")  # doctest: +SKIP
    """

    def __init__(self, directory: Path, name: str = "ca") -> None:
        self._directory = directory
        self._name = name
        self._ca = trustme.CA(organization_name=f"Test {name}")
        self._serial = count(1)
        directory.mkdir(parents=True, exist_ok=True)
        self.bundle = directory / f"{name}.crt"
        self._ca.cert_pem.write_to_path(self.bundle)

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this CA alone."""
        return ssl.create_default_context(cafile=str(self.bundle))

    def server(
        self,
        *names: str,
        not_after: datetime | None = None,
        intermediate: bool = False,
        omit_intermediate: bool = False,
    ) -> ServerCert:
        """Issue a certificate for DNS names and IP addresses.

        Args:
            names: the subject alternative names.
            not_after: end of validity, in the past for an expired certificate (it then began a day before its end).
            intermediate: sign with an intermediate CA, sent along in the chain.
            omit_intermediate: sign with an intermediate CA and leave it out of the chain, as a misconfigured server.
        """
        issuer = self._ca.create_child_ca() if intermediate or omit_intermediate else self._ca
        expired = not_after is not None and not_after <= datetime.now(UTC)
        leaf = issuer.issue_cert(
            *names,
            not_before=not_after - timedelta(days=1) if expired and not_after else None,
            not_after=not_after,
        )
        stem = self._directory / f"{self._name}-server-{next(self._serial)}"
        certificate, key = stem.with_suffix(".crt"), stem.with_suffix(".key")
        chain = leaf.cert_chain_pems[:1] if omit_intermediate else leaf.cert_chain_pems
        certificate.write_bytes(b"".join(pem.bytes() for pem in chain))
        leaf.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return ServerCert(certificate, key, self.bundle)

    def kinds(self, *names: str) -> dict[str, ServerCert]:
        """Return certificates as servers have them in the field, by what is wrong with each; ``good`` is right."""
        stranger = CertificateAuthority(self._directory, f"{self._name}-stranger")
        now = datetime.now(UTC)
        return {
            "good": self.server(*names, intermediate=True),
            "expired": self.server(*names, not_after=now - timedelta(hours=1)),
            "expires-soon": self.server(*names, not_after=now + timedelta(days=3)),
            "wrong-name": self.server("somebody-else.example.com"),
            "missing-intermediate": self.server(*names, omit_intermediate=True),
            "unknown-ca": stranger.server(*names),
        }
