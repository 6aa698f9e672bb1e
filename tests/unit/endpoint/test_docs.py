"""The tables of docs/urls.md say what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway_telemetry.endpoint import EndpointProblem, saas, self_hosted

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "urls.md").read_text(encoding="utf-8")


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """Return the cells of one table below a heading, without its head; code marks are taken off."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    tables = re.findall(r"(?m)(?:^\|.*\n)+", section)
    return [
        [cell.strip().strip("`") for cell in line.strip("|\n ").split(" | ")] for line in tables[table].splitlines()[2:]
    ]


SAME = rows("What `selfHosted.url` may look like")
BECOMES = rows("What `selfHosted.url` may look like", 1)
REFUSED = rows("What is refused")
REGIONS = [row for row in rows("Which form") if row[0].startswith("SaaS")]


def test_the_page_has_its_tables() -> None:
    assert [len(part) for part in (SAME, BECOMES, REFUSED, REGIONS)] == [10, 5, 14, 4]


@pytest.mark.parametrize("row", SAME, ids=[row[0] for row in SAME])
def test_what_is_called_the_same_is_the_same(row: list[str]) -> None:
    assert self_hosted(row[0]).traces == "https://ls.example.com/api/v1/otel/v1/traces"


@pytest.mark.parametrize("row", BECOMES, ids=[row[0] for row in BECOMES])
def test_what_is_pasted_becomes_what_is_shown(row: list[str]) -> None:
    assert self_hosted(row[0]).traces == row[1]


@pytest.mark.parametrize("row", REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_called_refused_is_refused_with_that_reason(row: list[str]) -> None:
    with pytest.raises(EndpointProblem) as caught:
        self_hosted(row[0])
    assert caught.value.reason == row[1]


@pytest.mark.parametrize("row", REGIONS, ids=[row[0] for row in REGIONS])
def test_a_region_leads_where_the_page_says(row: list[str]) -> None:
    region = row[1].removeprefix("saas: {region: ").removesuffix("}")
    assert saas(region).traces == row[2]
