"""The judge of the fault matrix itself: what it must call a false green, a false red, or the right word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from gateway_telemetry.api.reasons import BY_REASON, Reason
from tests.bench.fault_rows import ROWS, WORKSPACE, Setting
from tests.bench.faults import ARRIVAL, ONE_INTERVAL, Case, Matrix, Traffic, table
from tests.support.kube import Kube
from tests.support.langsmith import CertificateAuthority, Key, StandIn
from tests.support.langsmith.otlp import Span

KEY = "lsv2_sk_judge"
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    """The row of a usage limit, in its beginning."""
    certificates = CertificateAuthority(tmp_path).kinds("127.0.0.1")
    with StandIn(tls=certificates["good"], keys={KEY: Key((WORKSPACE,))}) as langsmith:
        setting = Setting(langsmith, KEY, certificates, {"workspaceId": WORKSPACE})
        traffic = Traffic(cast("Kube", None), "ns", setting)
        yield Case("quota", ROWS["quota"], "ns", setting, traffic, since=time.monotonic())


def judged(case: Case, kind: str, type_: str, status: str, *, later: float = 0.0) -> Case:
    case.said = {"target": {}, "gateway": {}, kind: {type_: (status, "Any")}}
    Matrix(cast("Kube", None), [case])._judge(case, case.since + later)
    return case


def arrive(case: Case, metadata: str, project: str = "checkout", workspace: str = WORKSPACE) -> None:
    span = Span("a" * 32, "1" * 16, "", "chat", START, START, {f"langsmith.metadata.{metadata}": "x"})
    case.setting.langsmith.store.accept_spans(workspace, project, [span])


def test_delivered_without_a_trace_is_a_false_green(case: Case) -> None:
    assert judged(case, "gateway", "Delivered", "True").greens == {"Delivered"}


@pytest.mark.parametrize(
    ("project", "workspace", "greens"),
    [
        ("checkout", WORKSPACE, set()),
        ("default", WORKSPACE, {"Delivered"}),
        ("checkout", "5f2c7a3e-0000-4000-8000-0000000000ee", {"Delivered"}),
    ],
)
def test_a_trace_counts_in_the_intended_project_and_workspace(
    case: Case, project: str, workspace: str, greens: set[str]
) -> None:
    arrive(case, "gatewaytelemetry.id", project, workspace)
    assert judged(case, "gateway", "Delivered", "True").greens == greens


def test_ingesting_without_a_canary_is_a_false_green(case: Case) -> None:
    arrive(case, "gatewaytelemetry.id")
    assert judged(case, "target", "Ingesting", "True").greens == {"Ingesting"}
    case.greens.clear()
    case.setting.langsmith.store.accept_spans(
        WORKSPACE,
        "checkout",
        [Span("b" * 32, "2" * 16, "", "c", START, START, {"langsmith.metadata.gatewaytelemetry.canary": "n"})],
    )
    assert judged(case, "target", "Ingesting", "True").greens == set()


def test_ready_while_a_fault_must_be_told_is_a_false_green(case: Case) -> None:
    assert judged(case, "target", "Ready", "True").greens == {"Ready"}


def test_what_the_row_does_not_expect_is_a_false_red(case: Case) -> None:
    assert judged(case, "target", "Ingesting", "False").reds == set()
    assert judged(case, "target", "Reachable", "False").reds == {"target Reachable"}
    assert judged(case, "gateway", "Delivered", "False").reds == {"target Reachable", "gateway Delivered"}


def test_what_has_not_arrived_yet_is_no_false_red(case: Case) -> None:
    assert judged(case, "target", "ResolvedRefs", "False", later=ARRIVAL - 1).reds == set()
    assert judged(case, "target", "ResolvedRefs", "False", later=ARRIVAL + 1).reds == {"target ResolvedRefs"}


def test_red_one_interval_after_the_end_of_the_fault_is_a_false_red(case: Case) -> None:
    case.phase = "healing"
    assert judged(case, "target", "Ingesting", "False", later=ONE_INTERVAL - 1).reds == set()
    assert judged(case, "target", "Ingesting", "False", later=ONE_INTERVAL + 1).reds == {"target Ingesting"}


def test_the_right_word_is_status_and_reason(case: Case) -> None:
    case.said = {"target": {"Ingesting": ("False", "NotVisible")}, "gateway": {"Delivered": ("Unknown", "Pending")}}
    assert (case.right("target"), case.right("gateway")) == (True, False)


@pytest.mark.parametrize("name", ROWS)
def test_rows_name_reasons_of_the_table(name: str) -> None:
    row = ROWS[name]
    for type_, status, reason in (row.target.split(), ["Delivered", *row.gateway.split()]):
        entry = BY_REASON[Reason(reason)]
        assert type_ in entry.conditions
        assert status == entry.status


def test_the_table_has_a_line_for_each_row(case: Case) -> None:
    case.told = {"target": 90.4, "gateway": 5.0}
    assert table([case]).splitlines()[2] == (
        "| usage limit: accepted and dropped | Ingesting False `NotVisible` | 90 s | Delivered Unknown NoTraffic | 5 s "
        "|  |  |"
    )
