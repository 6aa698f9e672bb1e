"""``make demo``: it shows the main job, says so when a step is not as it must be, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hack import cluster, demo
from hack.cluster import start_time

from tests.support import pod_process
from tests.support.cluster import CONTEXT_VARIABLE, ROOT
from tests.support.gateway_venv import installed
from tests.support.kube import wait
from tests.support.litellm import LOCK

pytestmark = [
    pytest.mark.timeout(900),  # the first run on a machine installs LiteLLM
    pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable())),
]

CONTEXT = os.environ.get(CONTEXT_VARIABLE)
own_cluster_only = pytest.mark.skipif(CONTEXT is not None, reason="is about the demo's own cluster")


@pytest.fixture(scope="module", autouse=True)
def _litellm_is_installed() -> None:
    installed(LOCK)


@pytest.fixture(autouse=True)
def _ctrl_c_is_not_ignored() -> Iterator[None]:
    """Shells let what they start in the background ignore SIGINT, and children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def running(tmp_path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run the demo as ``make demo`` does, with a state folder and a folder for temporary files of its own."""
    (tmp_path / "tmp").mkdir()
    env = {name: value for name, value in os.environ.items() if name != "CONTEXT"}
    env |= {"GATEWAY_TELEMETRY_STATE": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "tmp")}
    command = [sys.executable, "-m", "hack.demo", *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def descendants(root: int) -> dict[int, int | None]:
    """Return pid and start time of all processes below one."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: dict[int, int | None] = {}
    level = {root}
    while level := {pid for pid, parent in parents.items() if parent in level}:
        found |= {pid: start_time(pid) for pid in level}
    return found


def left(processes: dict[int, int | None]) -> list[int]:
    return [pid for pid, born in processes.items() if born is not None and start_time(pid) == born]


def test_it_shows_the_main_job_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, *(("--context", CONTEXT) if CONTEXT else ())) as process:
        output, errors = process.communicate(timeout=400)
    assert (process.returncode, errors) == (0, "")
    assert [line.partition(" ")[0] for line in output.splitlines() if line.startswith("[")] == [
        *(f"[{number}/10]" for number in range(1, 11)),
        "[demo]",
    ]
    lines = [line.strip() for line in output.splitlines()]
    assert "+    - name: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in lines
    [ready] = [line.split() for line in lines if line.startswith("gatewaytelemetry.gatewaytelemetry.dev/litellm   ")]
    assert ready[1:5] == ["True", "Ready", "litellm", "langsmith"]
    assert sum(line.endswith(" -> Hello from LiteLLM") for line in lines) == 3
    assert any(line.startswith("project 'LiteLLM demo' has ") for line in lines)
    assert "litellm_request (chain, 30 tokens)" in lines
    assert "Delivered=True (Delivered): Traces of this gateway arrive in project 'LiteLLM demo'." in lines
    [link] = [line for line in lines if line.startswith("the last trace is ")]
    assert "/langsmith/dev/o/5f2c7a3e-0000-4000-8000-000000000001/projects/p/" in link
    assert "the Deployment's spec is as it was before, and the operator's Secrets are gone" in lines
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "state" / "demo").exists()
    assert not Path("/etc/gateway-telemetry").exists()


@own_cluster_only
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_demo_ends_all_that_it_started(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with running(tmp_path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if " -> Hello from LiteLLM" in line:
                break
        started = descendants(process.pid)
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == code
    assert len(started) >= 7  # five of the control plane, the operator, LiteLLM
    wait("they have ended", lambda: not left(started), 10)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert not (tmp_path / "state" / "demo").exists()


@own_cluster_only
def test_it_fails_when_no_trace_arrives_and_can_be_run_again_on_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A LiteLLM whose callback is not switched on has all variables and exports nothing."""
    monkeypatch.setattr(cluster, "STATE", tmp_path)
    monkeypatch.setattr(demo, "ARRIVAL_SECONDS", 10.0)
    silent = tmp_path / "litellm.yaml"
    silent.write_text(demo.EXAMPLE.read_text().replace("callbacks: [otel]", "callbacks: []"))
    control_plane = cluster.start("demo", die_with_parent=True)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(demo, "EXAMPLE", silent)
            assert demo.main([]) == 1
        printed = capfd.readouterr()
        assert "[8/10]" in printed.out
        assert "[9/10]" not in printed.out
        assert printed.err.splitlines()[-1] == (
            "[demo] failed: not within 10 s: the requests are runs of project 'LiteLLM demo'"
        )
        assert control_plane.healthy()  # it was there before

        monkeypatch.setattr(demo, "ARRIVAL_SECONDS", 40.0)
        assert demo.main([]) == 0
        assert demo.main([]) == 0
    finally:
        control_plane.stop()


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("prod", "context 'prod' is not one of kind's (kind-…): the demo touches no other cluster"),
        ("kind-none", "the kubeconfig has no context 'kind-none'"),
    ],
)
def test_it_refuses_clusters_that_are_not_meant_for_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], context: str, message: str
) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as kubeconfig:
        kubeconfig.write("apiVersion: v1\nkind: Config\ncontexts: []\nclusters: []\nusers: []\n")
        kubeconfig.flush()
        monkeypatch.setenv("KUBECONFIG", kubeconfig.name)
        monkeypatch.setenv("CONTEXT", context)
        assert demo.main([]) == 1
    assert capfd.readouterr().err.splitlines()[-1] == f"[demo] failed: {message}"
