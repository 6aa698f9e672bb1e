"""``gateway-telemetry operator``: run the loop until told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from math import inf

import click

from gateway_telemetry.cli.options import cluster_options, lease_options, planning_options, rollout_options
from gateway_telemetry.cluster.errors import ConfigError
from gateway_telemetry.control import logs
from gateway_telemetry.control.fights import REPAIR_PAUSES
from gateway_telemetry.control.gate import Limits
from gateway_telemetry.control.operator import WatchesEnded, run
from gateway_telemetry.control.settings import Address, Settings
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.vantage import Program


class _AddressType(click.ParamType[Address]):
    name = "host:port"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        try:
            return Address.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _PausesType(click.ParamType[tuple[float, ...]]):
    name = "seconds,..."

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            pauses = tuple(float(item) for item in value.split(","))
        except ValueError:
            pauses = ()
        if not pauses or not all(0 <= item < inf for item in pauses):
            self.fail(f"{value!r} is no list of seconds such as 0,5,30", param, ctx)
        return pauses


@click.command()
@cluster_options
@planning_options
@click.option("--health-address", "health", type=_AddressType(), help="Where to serve /healthz and /readyz.")
@click.option("--metrics-address", "metrics", type=_AddressType(), help="Where to serve /metrics.")
@lease_options
@click.option("--workers", default=8, show_default=True, type=click.IntRange(1, 64), help="Objects at a time.")
@rollout_options
@click.option(
    "--repair-pauses",
    default=",".join(f"{item:g}" for item in REPAIR_PAUSES),
    show_default=True,
    type=_PausesType(),
    help="Seconds before each repair of what somebody takes away again; after the last it is given up for an hour.",
)
@click.option(
    "--resync", default=600.0, show_default=True, type=click.FloatRange(min=1.0), help="Seconds between full lists."
)
@click.option(
    "--finalizers/--no-finalizers",
    default=True,
    show_default=True,
    help="Whether a deletion of a GatewayTelemetry waits until what was written is taken back. Without, it is taken "
    "back afterwards: for rights that end with their namespace, whose deletion a finalizer would hold up for ever.",
)
@click.option(
    "--read-only",
    is_flag=True,
    help="Report only: conditions say what would be written; no workload, Secret or finalizer is.",
)
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Look at LangSmith: probe targets, send canaries, read traces back. Without, nothing is claimed.",
)
@click.option(
    "--probe-image",
    help="This operator's image, to look at LangSmith from gateways' namespaces (spec.verification.fromNamespace) in "
    "Jobs; none are started without.",
)
@click.option("--probe-image-pull-policy", default="IfNotPresent", show_default=True)
@click.option("--log-format", default="text", show_default=True, type=click.Choice(["text", "json"]))
@click.option(
    "--log-level", default="info", show_default=True, type=click.Choice(["debug", "info", "warning", "error"])
)
def operator(
    kubeconfig: str | None,
    context: str | None,
    namespaces: tuple[str, ...],
    allowed: tuple[str, ...],
    insecure_allow_loopback: bool,
    cluster_domain: str,
    cluster_name: str,
    health: Address | None,
    metrics: Address | None,
    lease_namespace: str | None,
    lease_name: str,
    workers: int,
    max_rollouts: int,
    max_rollouts_per_namespace: int,
    repair_pauses: tuple[float, ...],
    resync: float,
    finalizers: bool,
    read_only: bool,
    verify: bool,
    probe_image: str | None,
    probe_image_pull_policy: str,
    log_format: str,
    log_level: str,
) -> None:
    """Run the operator in the foreground."""
    logs.configure(log_level, log_format)
    try:
        hosts = HostPolicy(allowed, insecure_allow_loopback)
    except ValueError as error:
        raise click.UsageError(f"--allow-host: {error}") from None
    settings = Settings(
        namespaces=tuple(dict.fromkeys(namespaces)),
        options=Options(hosts=hosts, cluster_domain=cluster_domain, cluster_name=cluster_name),
        kubeconfig=kubeconfig,
        context=context,
        workers=workers,
        limits=Limits(max_rollouts, max_rollouts_per_namespace),
        repair_pauses=repair_pauses,
        resync_seconds=resync,
        lease=None if not lease_namespace else (lease_namespace, lease_name),
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{os.getpid()}",
        health=health,
        metrics=metrics,
        finalizers=finalizers,
        read_only=read_only,
        verify=verify,
        probe=Program(probe_image, probe_image_pull_policy, insecure_allow_loopback) if probe_image else None,
    )
    try:
        asyncio.run(run(settings))
    except WatchesEnded as error:
        click.echo(f"gateway-telemetry operator: {error}", err=True)
        logging.shutdown()
        sys.stderr.flush()
        # kopf leaves failed tasks and open connections behind, which the interpreter would tell of on its way out.
        os._exit(1)
    except (ConfigError, OSError) as error:
        click.echo(f"gateway-telemetry operator: {error}", err=True)
        sys.exit(1)
