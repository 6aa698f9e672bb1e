"""From the URL of TrueFoundry's control plane to what can be called and checked: pure and total."""

from __future__ import annotations

from gateway_telemetry.endpoint.derive import Endpoints
from gateway_telemetry.endpoint.parse import DEFAULT_PORTS, parse_url
from gateway_telemetry.endpoint.problem import EndpointProblem

FIELD = "install.controlPlane.url"


def control_plane(url: str) -> Endpoints:
    """Return where a control plane is; it has no OTLP of its own, so those URLs are empty.

    Raises:
        EndpointProblem: the URL cannot be meant, or is not https.
    """
    try:
        parts = parse_url(url)
    except EndpointProblem as problem:
        raise EndpointProblem(problem.reason, problem.message, FIELD) from None
    if parts.scheme != "https":
        raise EndpointProblem("InsecureScheme", "a control plane's key is sent over https only: write https://", FIELD)
    if parts.prefix:
        raise EndpointProblem(
            "InvalidURL", f"path /{parts.prefix} is not of the control plane: write only https:// and the host", FIELD
        )
    netloc = f"[{parts.host}]" if ":" in parts.host else parts.host
    if parts.port != DEFAULT_PORTS["https"]:
        netloc = f"{netloc}:{parts.port}"
    root = f"https://{netloc}"
    return Endpoints(root, "", "", root, parts.host, parts.port, plaintext=False, saas=False)
