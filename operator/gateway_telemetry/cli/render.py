"""``gateway-telemetry render``: what the operator would make of files, with no cluster."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

import click
from pydantic import TypeAdapter, ValidationError

from gateway_telemetry.api.meta import NamespaceName
from gateway_telemetry.cli import output
from gateway_telemetry.cli.documents import Unreadable, read
from gateway_telemetry.cli.options import planning_options
from gateway_telemetry.cli.outcome import settle
from gateway_telemetry.endpoint import HostPolicy
from gateway_telemetry.plan.options import Options

NOT_READY = 1
UNREADABLE = 2


@click.command(
    epilog="Exit status: 0 if all are Accepted and ResolvedRefs and every workload could be written to, 1 if "
    "not, 2 for wrong usage or input that cannot be read."
)
@click.option(
    "-f",
    "--filename",
    "sources",
    multiple=True,
    required=True,
    metavar="FILE|DIR|-",
    help="Manifests in YAML or JSON: a file, a directory with all below it, or - for standard input. Repeatable.",
)
@click.option(
    "-o", "--output", "form", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True, help="Form."
)
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of objects that name none.")
@planning_options
@click.option("--show-secrets", is_flag=True, help="Print the values of Secrets instead of short hashes.")
def render(
    sources: tuple[str, ...],
    form: str,
    namespace: str,
    allowed: tuple[str, ...],
    insecure_allow_loopback: bool,
    cluster_domain: str,
    cluster_name: str,
    show_secrets: bool,
) -> None:
    """Show what the operator would make of files, with no cluster.

    Prints every object as the operator would leave it right after its writes: Deployments with the exporter's
    settings, the operator's own Secrets, and both kinds with their status. What is wrong goes to standard error.
    """
    if sources.count("-") > 1:
        raise click.UsageError("-f -: standard input can be read only once")
    if "" in sources:
        raise click.UsageError("-f: the name of a file or directory is empty")
    try:
        TypeAdapter(NamespaceName).validate_python(namespace)
        hosts = HostPolicy(allowed, insecure_allow_loopback)
    except ValidationError:
        raise click.UsageError(f"--namespace: {namespace!r} is not the name of a namespace") from None
    except ValueError as error:
        raise click.UsageError(f"--allow-host: {error}") from None
    options = Options(hosts=hosts, cluster_domain=cluster_domain, cluster_name=cluster_name, check_services=False)
    now = _now()
    try:
        loaded = read(sources, sys.stdin.buffer, namespace)
    except Unreadable as error:
        _tell(error.problems)
        sys.exit(UNREADABLE)
    outcome = settle(loaded, options, now)
    objects = outcome.objects if show_secrets else tuple(output.masked(obj) for obj in outcome.objects)
    text = output.to_json(objects) if form == "json" else output.to_yaml(objects)
    click.echo(text.encode(), nl=False)
    _tell(outcome.problems)
    _tell(tuple(f"note: {line}" for line in outcome.notes))
    sys.exit(NOT_READY if outcome.problems else 0)


def _tell(lines: tuple[str, ...]) -> None:
    for line in lines:
        click.echo(line, err=True)


def _now() -> str:
    """Return the time of new conditions: the current one, or $SOURCE_DATE_EPOCH for output that can be compared.

    https://reproducible-builds.org/specs/source-date-epoch/
    """
    text = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        moment = datetime.now(UTC) if not text else datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError("SOURCE_DATE_EPOCH must be a number of seconds since 1970") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
