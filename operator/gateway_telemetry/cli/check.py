"""``gateway-telemetry check``: do traces arrive in LangSmith, and if not, at which step do they stop?

Needs no cluster with ``--url``; with an object's name it takes URL, keys and CA from there.
Loopback is allowed: a person who names what is asked runs it, often behind a port-forward.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.cli.inputs import api_key, ca_bundle, workspace_id
from gateway_telemetry.endpoint import EndpointProblem, clean_project, self_hosted
from gateway_telemetry.langsmith import CanaryResult, Destination, ProbeResult, Transport, canary, probe

DELIVERED, NOT_DELIVERED, CANNOT_TELL = 0, 1, 3
_EXIT = {"True": DELIVERED, "False": NOT_DELIVERED, "Unknown": CANNOT_TELL}
_WORDS = {"True": "yes", "False": "NO", "Unknown": "?"}
_OPTIONS = (
    (r"set spec\.allowPlaintext: true", "add --allow-plaintext"),
    (r"write spec\.saas\.region.*", "write the API's host in --url"),
    (r"(spec\.)?selfHosted\.url", "--url"),
    (r"(spec\.)?selfHosted\.basePath", "--base-path"),
    (r"(into )?spec\.caBundleRef", "into a file and name it with --ca"),
    (r"Set spec\.workspaceId", "Give --workspace"),
    (r"spec\.workspaceId", "--workspace"),
    (r"spec\.credentials\.read", "--read-key-from"),
    (r"spec\.credentials\.ingest", "--key-from"),
)


@dataclass
class Outcome:
    """What was found, and the steps that were passed."""

    destination: Destination
    project: str
    probe: ProbeResult | None = None
    canary: CanaryResult | None = None
    before: tuple[Finding, ...] = ()
    steps: list[str] = field(default_factory=list)

    def progress(self, text: str) -> None:
        """Keep a step, and show it while the next one runs."""
        self.steps.append(text)
        click.echo(f"  ok  {text}", err=True)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The conditions, as far as they were looked at."""
        found = self.before if self.probe is None else (*self.before, *self.probe.findings)
        found = found if self.canary is None else (*found, self.canary.finding)
        if self.before:  # an object was named: its fields are what there is to change
            return found
        return tuple(replace(item, message=_in_words_of_options(item.message)) for item in found)

    @property
    def verdict(self) -> Finding:
        """What decides: the canary's fate, else the first condition that does not hold."""
        if self.canary is not None:
            return self.findings[-1]
        return next(item for item in self.findings if item.status != "True")

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for machines; holds no key."""
        endpoints, sent = self.destination.endpoints, self.canary
        server = None if self.probe is None else self.probe.server
        status = self.verdict.status
        return {
            "delivered": {"True": True, "False": False}.get(status),
            "endpoints": {"api": endpoints.api, "otlp": endpoints.otlp, "traces": endpoints.traces},
            "server": None if server is None else {"version": server.version},
            "workspaceId": None if self.probe is None else self.probe.workspace_id,
            "project": {
                "name": self.project,
                "id": None if sent is None or sent.project is None else sent.project.id,
                "url": None if sent is None else sent.project_url,
            },
            "run": None if sent is None or sent.run_id is None else {"id": sent.run_id, "url": sent.run_url},
            "conditions": [{**asdict(item), "reason": str(item.reason)} for item in self.findings],
            "steps": self.steps,
        }


@click.command(
    epilog="Exit status: 0 if the trace was read back from the project, 1 if not, 2 for wrong usage, 3 if it cannot "
    "be told (no way out of this machine, a rate limit, a key that may not read)."
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
    form: str,
) -> None:
    """Send one marked trace to LangSmith and read it back, step by step.

    Take URL, keys and CA from a LangSmithTarget (lst/NAME) or the one that a GatewayTelemetry (gt/NAME) sends to, or
    write --url and --key-from, which needs no cluster. The network is that of this machine. The trace is billed like
    any other. Steps go to standard error, the outcome to standard output.
    """
    if reference is not None:
        if any(item is not None for item in (url, key_from, read_key_from, workspace, ca, base_path)):
            raise click.UsageError("URL, keys, CA and workspace come from the named object: leave the options out")
        outcome = asyncio.run(_of_object(reference, namespace, kubeconfig, context, project))
        asyncio.run(_walk(outcome, patience))
        _finish(outcome, form)
    if url is None or key_from is None:
        raise click.UsageError("name lst/NAME or gt/NAME, or write --url and --key-from")
    key = api_key("--key-from", key_from)
    read_key = key if read_key_from is None else api_key("--read-key-from", read_key_from)
    try:
        endpoints = self_hosted(url, base_path, allow_plaintext=allow_plaintext)
        name, notes = clean_project("default" if project is None else project)
    except EndpointProblem as problem:
        raise click.UsageError(f"{problem.reason}: {_in_words_of_options(problem.message)}") from None
    for note in (*endpoints.advice, *notes):
        click.echo(f"note: {note.message}", err=True)
    destination = Destination(endpoints, key, read_key, ca_bundle(ca), workspace_id(workspace))
    outcome = Outcome(destination, name)
    asyncio.run(_walk(outcome, patience))
    _finish(outcome, form)


def _finish(outcome: Outcome, form: str) -> NoReturn:
    _print(outcome, form)
    sys.exit(_EXIT[outcome.verdict.status])


async def _of_object(
    reference: str, namespace: str, kubeconfig: str | None, context: str | None, project: str | None
) -> Outcome:
    """Return an outcome to go on from; ends the program where the object does not lead anywhere."""
    # Only here: with --url nothing that talks to a cluster is loaded.
    from gateway_telemetry.cli import check_object
    from gateway_telemetry.cluster.errors import ClusterError

    if not check_object.REFERENCE.fullmatch(reference):
        raise click.UsageError("write lst/NAME for a LangSmithTarget or gt/NAME for a GatewayTelemetry")
    try:
        found = await check_object.find(reference, namespace, kubeconfig, context)
        name, _ = clean_project(project or found.project or "default")
    except (check_object.Unusable, EndpointProblem) as problem:
        raise click.UsageError(str(problem)) from None
    except ClusterError as error:
        click.echo(f"the cluster cannot be asked: {error}", err=True)
        sys.exit(CANNOT_TELL)
    if found.destination is None:
        for item in found.findings:
            click.echo(f"{_WORDS[item.status]:>4}  {item.type} ({item.reason}): {item.message}")
        sys.exit(NOT_DELIVERED)
    return Outcome(found.destination, name, before=found.findings)


async def _walk(outcome: Outcome, patience: float) -> None:
    async with Transport(outcome.destination, allow_loopback=True) as transport:
        outcome.probe = await probe(transport, outcome.progress)
        if not outcome.probe.passed:
            return
        outcome.canary = await canary(
            transport,
            outcome.project,
            server=outcome.probe.server,
            workspace_id=outcome.probe.workspace_id,
            patience=patience,
            progress=outcome.progress,
        )


def _print(outcome: Outcome, form: str) -> None:
    if form == "json":
        click.echo(json.dumps(outcome.as_json(), indent=2, ensure_ascii=False))
        return
    for item in outcome.findings:
        click.echo(f"{_WORDS[item.status]:>4}  {item.type} ({item.reason}): {item.message}")
    link = None if outcome.canary is None else outcome.canary.run_url
    if link is not None:
        click.echo(link)


def _in_words_of_options(message: str) -> str:
    """Return a message that speaks of a LangSmithTarget's fields in the words of this command."""
    for pattern, option in _OPTIONS:
        message = re.sub(pattern, option, message)
    return message
