"""What commands read besides their arguments: keys, CA files. Wrong input is a usage error that repeats no secret."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import click
from cryptography import x509

from gateway_telemetry.endpoint import EndpointProblem, clean_key

_LARGEST_FILE = 1 << 20


def api_key(option: str, source: str) -> str:
    """Return the key that ENV:NAME or FILE:PATH leads to.

    Raises:
        click.UsageError: there is none, or none that LangSmith can have given out.
    """
    kind, separator, where = source.partition(":")
    if kind not in ("ENV", "FILE") or not separator or not where:
        # Not repeated: people write the key itself here.
        raise click.UsageError(f"{option}: write ENV:NAME or FILE:PATH, never the key itself (shells keep a history)")
    if kind == "ENV":
        if where not in os.environ:
            raise click.UsageError(f"{option}: the environment has no variable of that name")
        raw = os.environ[where].encode("utf-8", "surrogateescape")
    else:
        raw = small_file(option, Path(where))
    try:
        key, notes = clean_key(raw)
    except EndpointProblem as problem:
        raise click.UsageError(f"{option}: {problem.reason}: {problem.message}") from None
    for note in notes:
        click.echo(f"note: {option}: {note.message}", err=True)
    return key


def small_file(option: str, path: Path) -> bytes:
    """Return a file's content.

    Raises:
        click.UsageError: it cannot be read, or is larger than 1 MiB.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not the name of a file"
        raise click.UsageError(f"{option}: the file cannot be read: {why}") from None
    if len(data) > _LARGEST_FILE:
        raise click.UsageError(f"{option}: the file is larger than 1 MiB")
    return data


def ca_bundle(path: Path | None, option: str = "--ca") -> str | None:
    """Return the PEM text of a CA file.

    Raises:
        click.UsageError: the file holds no certificate.
    """
    if path is None:
        return None
    raw = small_file(option, path)
    try:
        found = x509.load_pem_x509_certificates(raw)
    except ValueError:
        found = []
    if not found or not raw.isascii():
        raise click.UsageError(f"{option}: the file holds no PEM certificate (-----BEGIN CERTIFICATE-----)")
    return raw.decode("ascii")


def workspace_id(text: str | None) -> str | None:
    """Return the canonical form of ``--workspace``.

    Raises:
        click.UsageError: it is no UUID.
    """
    try:
        return None if text is None else str(uuid.UUID(text))
    except ValueError:
        raise click.UsageError("--workspace: write the workspace's id, a UUID") from None
