"""Headers that LangSmith routes by, and what can carry them.

Values in OTEL_EXPORTER_OTLP_*_HEADERS are percent-encoded
(https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables);
parsers that do not decode get the raw form, or a refusal, never a mangled value.
"""

from __future__ import annotations

import base64
import binascii
import re
import uuid
from dataclasses import dataclass, field
from urllib.parse import quote

from gateway_telemetry.endpoint.problem import Advice, EndpointProblem

API_KEY = "x-api-key"
PROJECT = "langsmith-project"
WORKSPACE = "x-tenant-id"

_KEY_PREFIXES = ("lsv2_", "ls__")
_SHORTEST_KEY = 8
_QUOTES = "\"'`"
_DEFECTS = (
    (r"(?i)^\s*bearer\s", "begins with the word Bearer"),
    (r"\s", "holds a space or line break"),
    (r"[\x00-\x1f\x7f]", "holds control characters"),
    (rf"[{_QUOTES}]", "holds a quotation mark"),
    (r".lsv2_", "has something in front of lsv2_"),
)


@dataclass(frozen=True)
class Headers:
    """The headers of one gateway, in fixed order; names in lower case, as gRPC metadata would need them."""

    api_key: str = field(repr=False)
    project: str
    workspace_id: str | None = None

    def as_mapping(self) -> dict[str, str]:
        """Return names and raw values, in order."""
        result = {API_KEY: self.api_key, PROJECT: self.project}
        if self.workspace_id is not None:
            result[WORKSPACE] = str(uuid.UUID(self.workspace_id))
        return result

    def percent_encoded(self) -> str:
        """Return the list for variables that an OpenTelemetry SDK parses.

        Every byte outside RFC 3986's unreserved set is encoded.
        """
        return ",".join(f"{name}={quote(value, safe='')}" for name, value in self.as_mapping().items())

    def raw_list(self) -> str:
        """Return the list for parsers that split at ',' and the first '=' and decode nothing.

        Raises:
            EndpointProblem: a value cannot travel that way.
        """
        for name, value in self.as_mapping().items():
            found = re.search(r"[,\r\n]", value)
            if found or value.strip() != value:
                what = "a comma" if found and found.group() == "," else "an outer space or a newline"
                reason, advice = (
                    ("KeyMalformed", "store the bare key")
                    if name == API_KEY
                    else ("ProjectNameUnsupportedByAdapter", "rename it")
                )
                raise EndpointProblem(
                    reason, f"the value of {name} holds {what}, which this gateway's header list cannot carry: {advice}"
                )
        return ",".join(f"{name}={value}" for name, value in self.as_mapping().items())


def clean_key(raw: bytes) -> tuple[str, tuple[Advice, ...]]:
    """Return the API key as it must be sent; no message ever tells a part of it.

    Raises:
        EndpointProblem: KeyEmpty, KeyMalformed, KeyDoubleEncoded or KeyLegacy.
    """
    # Not decode() in a try block: UnicodeDecodeError carries the bytes, and so would the context of ours.
    if not raw.isascii():
        raise _malformed("holds bytes that are not ASCII")
    text = raw.decode("ascii")
    key = text.rstrip("\r\n \t")
    notes: list[Advice] = []
    if not key.strip():
        raise EndpointProblem("KeyEmpty", "the key is empty: store the LangSmith API key there")
    if key != text:
        notes.append(Advice("KeyTrimmed", "a newline or space at the end of the key was ignored"))
    if len(key) > 1 and key[0] == key[-1] and key[0] in _QUOTES:
        raise _malformed("is surrounded by quotes")
    for pattern, what in _DEFECTS:
        if re.search(pattern, key):
            raise _malformed(what)
    if _twice_encoded(key):
        raise EndpointProblem("KeyDoubleEncoded", "the key was base64-encoded twice: encode it once, or use stringData")
    if key.startswith("ls__"):
        raise EndpointProblem("KeyLegacy", "keys that begin with ls__ ended in 2024: create a service key (lsv2_sk_)")
    if key.startswith("lsv2_pt_"):
        notes.append(Advice("PersonalAccessToken", "this is a person's token: it ends with the person's account"))
    return key, tuple(notes)


def _malformed(what: str) -> EndpointProblem:
    return EndpointProblem("KeyMalformed", f"the key {what}: store the bare key")


def _twice_encoded(key: str) -> bool:
    """Tell whether a key appears when the text is decoded, once or more often."""
    inner = key.encode("ascii")
    while len(inner) >= _SHORTEST_KEY:
        unpadded = inner.rstrip(b"=")
        try:
            inner = base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True).strip(b" \t\r\n\"'")
        except (binascii.Error, ValueError):
            return False
        if inner.startswith(tuple(prefix.encode() for prefix in _KEY_PREFIXES)):
            return True
    return False


def clean_project(name: str) -> tuple[str, tuple[Advice, ...]]:
    """Return the project's name if an HTTP header can carry it.

    Raises:
        EndpointProblem: ProjectMissing, InvalidSpec or ProjectNameNotHeaderSafe.
    """
    if not name.strip():
        raise EndpointProblem("ProjectMissing", "the project's name is empty: write one")
    if re.search(r"[\x00-\x1f\x7f-\x9f]", name) or name.strip() != name:
        raise EndpointProblem("InvalidSpec", "the project's name holds control characters or outer spaces: remove them")
    if len(name) > 1 and name[0] == name[-1] and name[0] in "\"'":
        raise EndpointProblem("InvalidSpec", "the project's name is surrounded by quotes: remove them")
    beyond = next((char for char in name if ord(char) > 0xFF), None)
    if beyond is not None:
        raise EndpointProblem(
            "ProjectNameNotHeaderSafe",
            f"the project's name holds {beyond!r}, which no HTTP header can carry: use an ASCII name",
        )
    if name.isascii():
        return name, ()
    text = "the project's name is not ASCII: SDKs send it as Latin-1 bytes, so look whether it arrives as written"
    return name, (Advice("ProjectNotAscii", text),)
