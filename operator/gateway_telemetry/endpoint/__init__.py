"""LangSmith's URLs and headers: what people paste becomes one canonical form, or a refusal that says why. Pure."""

from __future__ import annotations

from gateway_telemetry.endpoint.addresses import forbidden_address, parse_address
from gateway_telemetry.endpoint.control_plane import control_plane
from gateway_telemetry.endpoint.derive import SAAS_HOSTS, Endpoints, in_cluster, saas, self_hosted
from gateway_telemetry.endpoint.headers import Headers, clean_key, clean_project
from gateway_telemetry.endpoint.hosts import HostPolicy, forbidden_kind
from gateway_telemetry.endpoint.parse import normalise_base_path
from gateway_telemetry.endpoint.problem import Advice, EndpointProblem

__all__ = [
    "SAAS_HOSTS",
    "Advice",
    "EndpointProblem",
    "Endpoints",
    "Headers",
    "HostPolicy",
    "clean_key",
    "clean_project",
    "control_plane",
    "forbidden_address",
    "forbidden_kind",
    "in_cluster",
    "normalise_base_path",
    "parse_address",
    "saas",
    "self_hosted",
]
