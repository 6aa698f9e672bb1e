"""Every fault between a gateway and LangSmith: the right reason, and no condition that ground truth contradicts."""

from __future__ import annotations

import os

import pytest

from tests.bench.fault_rows import ROWS
from tests.bench.faults import ONE_INTERVAL, PATIENCE, Case, measure, table
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube

pytestmark = pytest.mark.timeout(600)
FULL = bool(os.environ.get("GATEWAY_TELEMETRY_FULL"))
SILENT = ("quota", "default", "project", "elsewhere", "orphans")
PLAYED = [name for index, name in enumerate(ROWS) if FULL or name in SILENT or index % 4 == 0]
"""Rows in which a 200 hides a loss, and of the others every fourth; all of them with make test-full."""


@pytest.fixture(scope="module")
def cases(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """The rows, played to their end at the same time."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would take the exporters' own CA away
            patch.delenv(name, raising=False)
        played = measure(kube, cluster.kubeconfig, tmp_path_factory.mktemp("matrix"), PLAYED)
    print(table(played))
    return {case.name: case for case in played}


@pytest.mark.parametrize("name", PLAYED)
def test_the_right_reason_in_time(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    longest = ONE_INTERVAL + (PATIENCE if case.row.slow else 0.0)
    assert case.told.keys() == {"target", "gateway"}, case.said
    assert case.told["target"] < longest
    assert case.told["gateway"] < longest


@pytest.mark.parametrize("name", PLAYED)
def test_never_green_while_traces_are_missing(cases: dict[str, Case], name: str) -> None:
    assert cases[name].greens == set()


@pytest.mark.parametrize("name", PLAYED)
def test_never_red_while_nothing_is_wrong(cases: dict[str, Case], name: str) -> None:
    assert cases[name].reds == set()


@pytest.mark.parametrize("name", PLAYED)
def test_green_again_by_itself_or_when_asked(cases: dict[str, Case], name: str) -> None:
    case = cases[name]
    assert case.phase == "done", (case.phase, case.said)
    if case.row.heals and not case.row.gateway.startswith("True"):
        assert case.healed is not None
        assert case.healed < 2 * ONE_INTERVAL


@pytest.mark.parametrize("name", [name for name in PLAYED if ROWS[name].later])
def test_a_fault_that_begins_later_is_found_within_an_interval(cases: dict[str, Case], name: str) -> None:
    again = cases[name].again
    assert again is not None, cases[name].said
    assert again < ONE_INTERVAL


def test_each_row_breaks_something_of_its_own() -> None:
    said = [(row.target, row.gateway, row.fault) for row in ROWS.values()]
    assert len(set(said)) == len(said)
