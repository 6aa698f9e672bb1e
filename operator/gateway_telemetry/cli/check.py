"""``gateway-telemetry check``: do traces arrive in LangSmith, and if not, at which step do they stop?

Needs no cluster with ``--url``; with an object's name it takes URL, keys and CA from there.
Loopback is allowed: a person who names what is asked runs it, often behind a port-forward.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from gateway_telemetry.cli.check_through import NoAnswer, asking
from gateway_telemetry.cli.check_walk import (
    Outcome,
    Wanted,
    in_words_of_options,
    live,
    print_findings,
    print_outcome,
    walk,
)
from gateway_telemetry.cli.inputs import api_key, ca_bundle, workspace_id
from gateway_telemetry.endpoint import EndpointProblem, clean_project, self_hosted
from gateway_telemetry.langsmith import Destination

DELIVERED, NOT_DELIVERED, CANNOT_TELL = 0, 1, 3
_EXIT = {"True": DELIVERED, "False": NOT_DELIVERED, "Unknown": CANNOT_TELL}


@click.command(
    epilog="Exit status: 0 if the trace was read back from the project, 1 if not, 2 for wrong usage, 3 if it cannot "
    "be told (no way out of this machine, a rate limit, a key that may not read). With --through, the gateway's own "
    "span decides as well."
)
@click.argument("reference", required=False, metavar="[lst/NAME|gt/NAME]")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of the named object.")
@click.option("--context", help="Context of the kubeconfig.")
@click.option("--kubeconfig", help="Path of the kubeconfig.")
@click.option("--url", help="LangSmith's URL: a SaaS API host or a self-hosted install.")
@click.option("--key-from", metavar="ENV:NAME|FILE:PATH", help="Where the API key is; never the key itself.")
@click.option(
    "--read-key-from",
    metavar="ENV:NAME|FILE:PATH",
    help="Another key to read the trace back with; the same if left out.",
)
@click.option("--project", help="Project that the trace is sent to; that of the named object, else 'default'.")
@click.option("--workspace", metavar="UUID", help="Workspace that is meant (X-Tenant-Id).")
@click.option("--ca", type=click.Path(path_type=Path), help="PEM file of the CA that issued LangSmith's certificate.")
@click.option("--base-path", help="Path prefix of the install: its chart value config.basePath.")
@click.option("--allow-plaintext", is_flag=True, help="Consent to http://.")
@click.option(
    "--patience",
    type=click.FloatRange(1, 600),
    default=90,
    show_default=True,
    help="Seconds that the trace may take to appear.",
)
@click.option(
    "--through",
    metavar="URL",
    help="URL of a request that the gateway takes. It is sent as by a traced caller: are the gateway's spans dropped?",
)
@click.option("--through-key-from", metavar="ENV:NAME|FILE:PATH", help="Where the gateway's own key is (bearer token).")
@click.option("--through-model", metavar="NAME", help="Ask for a chat completion of this model; GET if left out.")
@click.option(
    "--through-ca", type=click.Path(path_type=Path), help="PEM file of the CA that issued the gateway's certificate."
)
@click.option("--cluster-name", default="", help="The operator's --cluster-name, by which it knows a gateway's traces.")
@click.option(
    "--self-hosted-egress",
    "egress",
    is_flag=True,
    help="Also tell what a self-hosted LangSmith itself must reach, and whether it answers from here.",
)
@click.option("-o", "--output", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def check(
    reference: str | None,
    namespace: str,
    context: str | None,
    kubeconfig: str | None,
    url: str | None,
    key_from: str | None,
    read_key_from: str | None,
    project: str | None,
    workspace: str | None,
    ca: Path | None,
    base_path: str | None,
    allow_plaintext: bool,
    patience: float,
    through: str | None,
    through_key_from: str | None,
    through_model: str | None,
    through_ca: Path | None,
    cluster_name: str,
    egress: bool,
    form: str,
) -> None:
    """Send one marked trace to LangSmith and read it back, step by step.

    Take URL, keys and CA from a LangSmithTarget (lst/NAME) or the one that a GatewayTelemetry (gt/NAME) sends to, or
    write --url and --key-from, which needs no cluster. The network is that of this machine. The trace is billed like
    any other. Steps go to standard error, the outcome to standard output.
    """
    if through is None and any(item is not None for item in (through_key_from, through_model, through_ca)):
        raise click.UsageError("--through-key-from, --through-model and --through-ca go with --through")
    gateway_key = None if through_key_from is None else api_key("--through-key-from", through_key_from)
    ask = None
    if through is not None:
        ask = asking(through, gateway_key, through_model, ca_bundle(through_ca, "--through-ca"))
    stamp = None
    if reference is not None:
        if any(item is not None for item in (url, key_from, read_key_from, workspace, ca, base_path)):
            raise click.UsageError("URL, keys, CA and workspace come from the named object: leave the options out")
        outcome, stamp = asyncio.run(_of_object(reference, namespace, kubeconfig, context, project, cluster_name))
    else:
        if url is None or key_from is None:
            raise click.UsageError("name lst/NAME or gt/NAME, or write --url and --key-from")
        key = api_key("--key-from", key_from)
        read_key = key if read_key_from is None else api_key("--read-key-from", read_key_from)
        outcome = _of_options(url, key, read_key, project, workspace, ca, base_path, allow_plaintext)
    with live() as doing:
        try:
            asyncio.run(walk(outcome, Wanted(patience, ask, stamp, egress), doing))
        except NoAnswer as problem:
            click.echo(str(problem), err=True)
            sys.exit(CANNOT_TELL)
    print_outcome(outcome, form)
    sys.exit(_EXIT[outcome.verdict.status])


def _of_options(
    url: str,
    key: str,
    read_key: str,
    project: str | None,
    workspace: str | None,
    ca: Path | None,
    base_path: str | None,
    allow_plaintext: bool,
) -> Outcome:
    try:
        endpoints = self_hosted(url, base_path, allow_plaintext=allow_plaintext)
        name, notes = clean_project("default" if project is None else project)
    except EndpointProblem as problem:
        raise click.UsageError(f"{problem.reason}: {in_words_of_options(problem.message)}") from None
    for note in (*endpoints.advice, *notes):
        click.echo(f"note: {note.message}", err=True)
    return Outcome(Destination(endpoints, key, read_key, ca_bundle(ca), workspace_id(workspace)), name)


async def _of_object(
    reference: str, namespace: str, kubeconfig: str | None, context: str | None, project: str | None, cluster_name: str
) -> tuple[Outcome, str | None]:
    """Return an outcome to go on from, and the gateway's stamp; ends the program where the object leads nowhere."""
    # Only here: with --url nothing that talks to a cluster is loaded.
    from gateway_telemetry.cli import check_object
    from gateway_telemetry.cluster.errors import ClusterError

    if not check_object.REFERENCE.fullmatch(reference):
        raise click.UsageError("write lst/NAME for a LangSmithTarget or gt/NAME for a GatewayTelemetry")
    try:
        found = await check_object.find(reference, namespace, kubeconfig, context, cluster_name)
        name, _ = clean_project(project or found.project or "default")
    except (check_object.Unusable, EndpointProblem) as problem:
        raise click.UsageError(str(problem)) from None
    except ClusterError as error:
        click.echo(f"the cluster cannot be asked: {error}", err=True)
        sys.exit(CANNOT_TELL)
    if found.destination is None:
        print_findings(found.findings)
        sys.exit(NOT_DELIVERED)
    return Outcome(found.destination, name, found.findings), found.stamp
