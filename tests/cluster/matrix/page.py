"""The table of docs/compatibility.md, between two markers: ``python -m tests.cluster.matrix.page`` writes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.cluster.matrix.cases import CHANGES, TOOLS, Outcome, results

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
BEGIN = "<!-- matrix: written by python -m tests.cluster.matrix.page -->"
END = "<!-- end of matrix -->"


def cell(outcome: Outcome) -> str:
    """Return an outcome in words that fit a table."""
    if outcome.upgrade == "refused":
        return f"refused (422); {outcome.ready}"
    times = {0: "no rollout", 1: "1 rollout"}.get(outcome.rollouts, f"{outcome.rollouts} rollouts")
    return f"{outcome.ready}; {times}" + (" †" if outcome.removal == "next-run" else "")


def table(text: Callable[[str, str], str]) -> str:
    """Return a Markdown table of changes by tools.

    Args:
        text: what stands in the cell of a tool and a change.
    """
    lines = ["| change | " + " | ".join(TOOLS.values()) + " |", "|---|" + "---|" * len(TOOLS)]
    lines += [
        f"| {change.title} | " + " | ".join(text(tool, name) for tool in TOOLS) + " |"
        for name, change in CHANGES.items()
    ]
    return "\n".join(lines)


def page(old: str) -> str:
    """Return the page with the table as the results have it now.

    Raises:
        ValueError: the markers are not there.
    """
    expected = results()
    head, begin, rest = old.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} lacks {BEGIN} or {END}")
    return f"{head}{BEGIN}\n{table(lambda tool, change: cell(expected[tool][change]))}\n{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
