"""The steps of ``check`` and what came of them, for people and for machines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import click

from gateway_telemetry.api.conditions import Finding
from gateway_telemetry.langsmith import CanaryResult, Destination, ProbeResult, Transport, canary, probe
from gateway_telemetry.langsmith.egress import NEED, Egress
from gateway_telemetry.langsmith.egress import look as look_at_egress
from gateway_telemetry.langsmith.orphans import Ask, Followed, follow

_WORDS = {"True": "yes", "False": "NO", "Unknown": "?"}
_COLOURS = {"True": "green", "False": "red", "Unknown": "yellow"}
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
Doing = Callable[[str], None]
"""Shows what is under way until it is called again."""


def in_words_of_options(message: str) -> str:
    """Return a message that speaks of a LangSmithTarget's fields in the words of this command."""
    for pattern, option in _OPTIONS:
        message = re.sub(pattern, option, message)
    return message


@dataclass(frozen=True)
class Wanted:
    """What to look at besides LangSmith itself.

    Attributes:
        patience: seconds that a trace may take to appear.
        ask: sends a request through the gateway; None where none is asked for.
        stamp: the gateway's ``gatewaytelemetry.id``, where an object was named that has one.
        egress: whether to look for what a self-hosted LangSmith itself must reach.
    """

    patience: float
    ask: Ask | None = None
    stamp: str | None = None
    egress: bool = False


@dataclass
class Outcome:
    """What was found, and the steps that were passed."""

    destination: Destination
    project: str
    before: tuple[Finding, ...] = ()
    probe: ProbeResult | None = None
    canary: CanaryResult | None = None
    followed: Followed | None = None
    egress: Egress | None = None
    steps: list[str] = field(default_factory=list)

    def progress(self, text: str) -> None:
        """Keep a step, and show it."""
        self.steps.append(text)
        click.echo(f"  ok  {text}", err=True)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The conditions, as far as they were looked at."""
        found = self.before if self.probe is None else (*self.before, *self.probe.findings)
        found = found if self.canary is None else (*found, self.canary.finding)
        found = found if self.followed is None else (*found, self.followed.finding)
        if self.before:  # an object was named: its fields are what there is to change
            return found
        return tuple(replace(item, message=in_words_of_options(item.message)) for item in found)

    @property
    def verdict(self) -> Finding:
        """What decides: the fate of the last trace that was sent, else the first condition that does not hold."""
        if self.canary is not None:
            return self.findings[-1]
        return next(item for item in self.findings if item.status != "True")

    @property
    def link(self) -> str | None:
        """The page of the run that was found last."""
        if self.followed is not None and self.followed.run_url is not None:
            return self.followed.run_url
        return None if self.canary is None else self.canary.run_url

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
            "through": None if self.followed is None else {"url": self.followed.run_url},
            "egress": None if self.egress is None else {**asdict(self.egress), "reason": str(self.egress.reason)},
            "conditions": [{**asdict(item), "reason": str(item.reason)} for item in self.findings],
            "steps": self.steps,
        }


async def walk(outcome: Outcome, wanted: Wanted, doing: Doing) -> None:
    """Go step by step until one fails."""
    endpoints = outcome.destination.endpoints
    if wanted.egress:
        doing("looking for what a self-hosted LangSmith itself must reach")
        outcome.egress = await look_at_egress()
    async with Transport(outcome.destination, allow_loopback=True) as transport:
        doing(f"looking at {endpoints.host}:{endpoints.port}")
        outcome.probe = await probe(transport, outcome.progress)
        if not outcome.probe.passed:
            return
        server = outcome.probe.server
        doing(f"sending a trace to project {outcome.project!r} and reading it back")
        outcome.canary = await canary(
            transport,
            outcome.project,
            server=server,
            workspace_id=outcome.probe.workspace_id,
            patience=wanted.patience,
            progress=outcome.progress,
        )
        if wanted.ask is None or outcome.canary.finding.status != "True":
            return
        doing("sending a request through the gateway and looking for its spans")
        outcome.followed = await follow(
            transport,
            wanted.ask,
            outcome.project,
            wanted.stamp,
            server=server,
            patience=wanted.patience,
            progress=outcome.progress,
        )


@contextmanager
def live() -> Iterator[Doing]:
    """Show what is under way and for how long, while standard error is a terminal; nothing of it stays there."""
    # Only here: nothing else needs it, and imports take time.
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn(" "), SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task("", total=None)

        def doing(text: str) -> None:
            shown.reset(task, description=text, total=None)

        yield doing


def print_findings(findings: tuple[Finding, ...]) -> None:
    """Print one line per condition."""
    for item in findings:
        word = click.style(f"{_WORDS[item.status]:>4}", fg=_COLOURS[item.status])
        click.echo(f"{word}  {item.type} ({item.reason}): {item.message}")


def print_outcome(outcome: Outcome, form: str) -> None:
    """Print the outcome; the link to the run comes last."""
    if form == "json":
        click.echo(json.dumps(outcome.as_json(), indent=2, ensure_ascii=False))
        return
    print_findings(outcome.findings)
    if outcome.egress is not None:
        word = "yes" if outcome.egress.reached else "NO"
        click.echo(f"note: {NEED}")
        click.echo(f"note: from here: {word} ({outcome.egress.reason}): {outcome.egress.message}")
    if outcome.link is not None:
        click.echo(outcome.link)
