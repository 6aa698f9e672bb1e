"""``gateway-telemetry probe-job``: look at LangSmith from where a gateway runs, and tell the operator.

Run by the operator as a short-lived Job in the gateway's namespace, so that DNS, routes, NetworkPolicies and trust are
those of the gateway's pods. It gets no key. Not for people: ``check`` is.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from gateway_telemetry.cli.inputs import ca_bundle
from gateway_telemetry.endpoint import EndpointProblem, self_hosted
from gateway_telemetry.langsmith import vantage


@click.command(
    "probe-job",
    epilog="Exit status: 0 whenever there is a verdict, good or bad; 1 if it could not be handed over; 2 for wrong "
    "usage.",
)
@click.option("--url", required=True, help="LangSmith's OTLP traces URL.")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the CA that issued LangSmith's certificate.")
@click.option("--allow-plaintext", is_flag=True, help="Consent to http://.")
@click.option("--insecure-allow-loopback", is_flag=True, help="For development: allow loopback addresses.")
@click.option("--termination-log", type=click.Path(path_type=Path), help="File to write the verdict to as well.")
@click.option(
    "--timeout", default=15.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds for one look."
)
@click.option(
    "--patience",
    default=vantage.PATIENCE,
    show_default=True,
    type=click.FloatRange(0, 300),
    help="Seconds for which a failure is looked at again.",
)
@click.option(
    "--settle",
    default=vantage.SETTLE,
    show_default=True,
    type=click.FloatRange(0, 60),
    help="Seconds after which a success is looked at again.",
)
def probe_job(
    url: str,
    ca: Path | None,
    allow_plaintext: bool,
    insecure_allow_loopback: bool,
    termination_log: Path | None,
    timeout: float,
    patience: float,
    settle: float,
) -> None:
    """Look at LangSmith from here, without a key, and print the verdict as one line of JSON."""
    try:
        endpoints = self_hosted(url, allow_plaintext=allow_plaintext)
    except EndpointProblem as problem:
        raise click.UsageError(f"--url: {problem.reason}: {problem.message}") from None
    found = asyncio.run(
        vantage.look(
            endpoints,
            ca_bundle(ca),
            allow_loopback=insecure_allow_loopback,
            seconds=timeout,
            patience=patience,
            settle=settle,
        )
    )
    line = found.to_json()
    click.echo(line)
    if termination_log is not None:
        try:
            termination_log.write_text(line + "\n", encoding="utf-8")
        except OSError as error:
            click.echo(f"--termination-log: the file cannot be written: {error.strerror}", err=True)
            sys.exit(1)
