"""Options that several commands have, each written once; nothing that talks to a cluster is imported here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def _all(*options: Decorator) -> Decorator:
    """Return one decorator for several options, which the help lists in the given order."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


cluster_options = _all(
    click.option(
        "--kubeconfig", metavar="FILE", help="Kubeconfig; the Pod's service account or $KUBECONFIG if left out."
    ),
    click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
    click.option(
        "--watch-namespace",
        "namespaces",
        multiple=True,
        metavar="NAMESPACE",
        help="Namespaces that the operator watches; repeatable; all if left out.",
    ),
)
"""Which API server, and which part of it: parameters kubeconfig, context, namespaces."""

lease_options = _all(
    click.option(
        "--lease-namespace",
        envvar="POD_NAMESPACE",
        help="Namespace of the leader's Lease; no leader election if left out and $POD_NAMESPACE is not set.",
    ),
    click.option("--lease-name", default="gateway-telemetry-operator", show_default=True, help="Name of the Lease."),
)
"""Who leads: parameters lease_namespace, lease_name."""

planning_options = _all(
    click.option(
        "--allow-host",
        "allowed",
        multiple=True,
        metavar="HOST|*.SUFFIX|*",
        help="LangSmith host that targets may name besides SaaS and Services of their namespace. Repeatable.",
    ),
    click.option("--insecure-allow-loopback", is_flag=True, help="For development: allow LangSmith hosts on loopback."),
    click.option("--cluster-domain", default="cluster.local", show_default=True, help="DNS domain of the cluster."),
    click.option(
        "--cluster-name", default="", help="Tells equally named objects of several clusters apart in LangSmith."
    ),
)
"""What planning depends on: parameters allowed, insecure_allow_loopback, cluster_domain, cluster_name."""

rollout_options = _all(
    click.option(
        "--max-rollouts",
        default=10,
        show_default=True,
        type=click.IntRange(min=0),
        help="Workloads whose pods are replaced at a time, in the whole cluster; 0 is without limit.",
    ),
    click.option(
        "--max-rollouts-per-namespace",
        default=3,
        show_default=True,
        type=click.IntRange(min=0),
        help="The same within one namespace.",
    ),
)
"""How many workloads may have their pods replaced at a time: parameters max_rollouts, max_rollouts_per_namespace."""
