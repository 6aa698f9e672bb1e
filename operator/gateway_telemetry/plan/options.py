"""The operator's own configuration as far as planning depends on it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway_telemetry.endpoint import HostPolicy


@dataclass(frozen=True)
class Options:
    """Settings of the operator or of ``render``.

    Attributes:
        hosts: which LangSmith hosts targets may name.
        cluster_domain: DNS domain of the cluster.
        cluster_name: tells equally named objects of several clusters apart in evidence of delivery.
        check_services: whether a Service that is not known counts as missing (not so in ``render``, whose files may
            leave it out).
    """

    hosts: HostPolicy = field(default_factory=HostPolicy)
    cluster_domain: str = "cluster.local"
    cluster_name: str = ""
    check_services: bool = True
