"""What a gateway cannot do, told in one form: which field asks for it, and what to do instead."""

from __future__ import annotations

import re

from gateway_telemetry.adapters.base import Context
from gateway_telemetry.adapters.otel import no_content
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem


def no_private_ca(context: Context, gateway: str, instead: str) -> None:
    """Refuse a target with a CA bundle: the gateway has no such setting for its exporter alone.

    A variable for the whole process (SSL_CERT_FILE, NODE_EXTRA_CA_CERTS) would replace what its calls to model
    providers trust, so none is ever written.

    Raises:
        EndpointProblem: the target has a CA bundle.
    """
    if context.ca_pem is not None:
        raise EndpointProblem(
            Reason.CA_BUNDLE_UNSUPPORTED,
            f"{gateway} has no certificate setting for its exporter alone, so the target's caBundleRef cannot be used: "
            f"{instead}",
        )


def no_capture_switch(context: Context, gateway: str, instead: str) -> None:
    """Refuse ``capture: {content: false}`` where nothing that can be written leaves content out.

    Raises:
        EndpointProblem: the spec asks for it.
    """
    if no_content(context):
        raise EndpointProblem(
            Reason.CAPTURE_UNSUPPORTED,
            f"nothing that the operator can write makes {gateway} leave prompts and completions out, as "
            f"spec.capture.content: false asks: {instead}",
        )


def ascii_project(context: Context, gateway: str) -> None:
    """Refuse a project name that a gateway would send as UTF-8, where others send Latin-1.

    Header values have no encoding of their own (https://www.rfc-editor.org/rfc/rfc9110#section-5.5-4), so such a
    name could become two projects.

    Raises:
        EndpointProblem: the name is not ASCII.
    """
    found = re.search(r"[^\x20-\x7e]", context.headers.project)
    if found is not None:
        raise EndpointProblem(
            Reason.PROJECT_UNSUPPORTED,
            f"the project's name holds {found.group()!r}, which {gateway} sends in another encoding than LangSmith's "
            "own SDKs: use an ASCII name",
        )


def no_resource_attributes(context: Context, gateway: str, instead: str) -> None:
    """Refuse ``resourceAttributes`` where nobody would see them, or every other receiver of the gateway's spans.

    Raises:
        EndpointProblem: the spec has some.
    """
    if context.spec.resource_attributes:
        raise EndpointProblem(
            Reason.ATTRIBUTES_UNSUPPORTED, f"{gateway} cannot be given spec.resourceAttributes: {instead}"
        )
