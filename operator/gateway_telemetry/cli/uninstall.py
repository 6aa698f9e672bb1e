"""``gateway-telemetry uninstall``: the chart's pre-delete hook, and the way out without Helm."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

import click

from gateway_telemetry.cli.options import cluster_options, lease_options, rollout_options
from gateway_telemetry.cluster.errors import ApiError, ConfigError
from gateway_telemetry.control import logs
from gateway_telemetry.control.gate import Limits
from gateway_telemetry.control.settings import Settings
from gateway_telemetry.control.uninstall import uninstall as take_back
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.plan.options import Options


def _deployment(_: click.Context, option: click.Parameter, value: str | None) -> tuple[str, str] | None:
    if value is None:
        return None
    namespace, slash, name = value.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise click.BadParameter(f"{value!r} is not NAMESPACE/NAME", param=option)
    return namespace, name


@click.command()
@cluster_options
@click.option(
    "--deployment",
    callback=_deployment,
    metavar="NAMESPACE/NAME",
    help="The operator's own Deployment, which is scaled to 0 first; left out: you stopped the operator yourself.",
)
@lease_options
@rollout_options
@click.option("--insecure-allow-loopback", is_flag=True, help="For development: as for the operator.")
@click.option(
    "--timeout",
    default=300.0,
    show_default=True,
    type=click.FloatRange(min=1.0),
    help="Seconds for all of it; the limits of rollouts hold for the first half.",
)
@click.option(
    "--log-level", default="warning", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def uninstall(
    kubeconfig: str | None,
    context: str | None,
    namespaces: tuple[str, ...],
    deployment: tuple[str, str] | None,
    lease_namespace: str | None,
    lease_name: str,
    max_rollouts: int,
    max_rollouts_per_namespace: int,
    insecure_allow_loopback: bool,
    timeout: float,
    log_level: str,
) -> None:
    """Stop the operator and put every gateway back as it was.

    GatewayTelemetries and LangSmithTargets stay. Exit code 0: nothing is left. 1: what is left is told on stderr.
    """
    logs.configure(log_level, "text")
    settings = Settings(
        namespaces=tuple(dict.fromkeys(namespaces)),
        kubeconfig=kubeconfig,
        context=context,
        limits=Limits(max_rollouts, max_rollouts_per_namespace),
        options=Options(HostPolicy(insecure_allow_loopback=insecure_allow_loopback)),
        lease=None if not lease_namespace else (lease_namespace, lease_name),
        identity=f"uninstall-{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}",
    )
    try:
        left = asyncio.run(take_back(settings, deployment, timeout, click.echo))
    except (ConfigError, ApiError) as error:
        click.echo(f"gateway-telemetry uninstall: {error}", err=True)
        sys.exit(1)
    if left:
        click.echo("left as it is:", err=True)
        for line in left:
            click.echo(f"  {line}", err=True)
        sys.exit(1)
    click.echo("nothing of the operator's is left")
