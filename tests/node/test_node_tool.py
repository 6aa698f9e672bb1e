"""The node comes and goes without a trace, also when whoever started it was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hack import node as nodes
from hack.cluster import Cluster, start_time

from tests.support.kube import wait

ROOT = Path(__file__).resolve().parents[2]


def traces(name: str) -> list[str]:
    """Return what is left of a node on this machine."""
    links = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True).stdout
    groups = [str(path) for root in nodes._hierarchies() for path in root.glob(f"gateway-telemetry-{name}")]
    mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if f"{name}-node" in line]
    return [*groups, *mounts, *(line for line in links.splitlines() if f"/{name}/" in line)]


def interfaces() -> set[str]:
    return {item.name for item in Path("/sys/class/net").iterdir()}


def test_up_and_down(tmp_path: Path) -> None:
    before = interfaces()
    node = nodes.Node("comes", tmp_path)
    node.up(die_with_parent=True)
    pids = dict(node.cluster.processes)
    assert interfaces() - before == {f"gt{node.number}"}
    assert {"etcd", "kube-apiserver", "containerd", "kubelet", "kube-proxy", "coredns"} <= pids.keys()
    node.down()
    assert interfaces() == before
    assert traces("comes") == []
    assert [name for name, (pid, born) in pids.items() if start_time(pid) == born] == []
    assert list(tmp_path.iterdir()) == []
    node.down()  # nothing is no trouble


def test_after_a_crash(tmp_path: Path) -> None:
    before = interfaces()
    environment = {**os.environ, "GATEWAY_TELEMETRY_STATE": str(tmp_path)}
    command = [sys.executable, "-m", "hack.node", "up", "--name", "crashed"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=120)
    control = Cluster.read(tmp_path / "crashed")
    assert control is not None
    pid, born = control.processes["kube-apiserver"]
    os.kill(pid, signal.SIGKILL)
    wait("the API server's end", lambda: start_time(pid) != born, 10)
    subprocess.run([*command[:3], "down", "--name", "crashed"], cwd=ROOT, env=environment, check=True)
    wait("the interfaces' end", lambda: interfaces() == before, 10)
    assert traces("crashed") == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_missing_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    why = nodes.missing()
    assert why is not None
    assert why.startswith("a real node needs more programs: apt-get install ")
    assert "runc" in why
    assert "\n" not in why
