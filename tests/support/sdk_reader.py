"""What LangSmith's own SDK reads of LiteLLM's traces: the judge of whether they arrived, and where."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from langsmith import Client
from langsmith.schemas import Run
from langsmith.utils import LangSmithNotFoundError

CALL = "litellm_request"
"""Name of the run that holds a call's prompt and answer."""


def runs_of(client: Client, project: str) -> list[Run]:
    """Return all runs of a project; none if there is no such project."""
    with warnings.catch_warnings():
        # The read API that every released version of self-hosted LangSmith serves.
        warnings.filterwarnings("ignore", r"list_runs\(\) is deprecated")
        try:
            return list(client.list_runs(project_name=project))
        except LangSmithNotFoundError:
            return []


def calls(runs: Iterable[Run]) -> list[Run]:
    """Return the model calls among runs, oldest first."""
    return sorted((run for run in runs if run.name == CALL), key=lambda run: run.start_time)


def prompt(call: Run) -> str:
    """Return the text that the caller sent."""
    return "".join(part["content"] for message in call.inputs["messages"] for part in message["parts"])


def arrived(client: Client, project: str, prompts: Sequence[str]) -> list[Run]:
    """Return all runs of a project once every prompt is among them; none until then."""
    runs = runs_of(client, project)
    return runs if {prompt(call) for call in calls(runs)} >= set(prompts) else []


def tree(runs: Iterable[Run], call: Run) -> str:
    """Return the runs of a call's trace, one a line, indented by depth."""
    trace = [run for run in runs if run.trace_id == call.trace_id]
    lines = []
    for run in sorted(trace, key=lambda run: run.dotted_order or ""):
        depth = (run.dotted_order or "").count(".")
        tokens = f", {run.total_tokens} tokens" if run.total_tokens else ""
        lines.append(f"{'  ' * depth}{run.name} ({run.run_type}{tokens})")
    return "\n".join(lines)
