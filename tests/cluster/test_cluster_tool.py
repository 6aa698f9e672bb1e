"""``make cluster-up`` and ``cluster-down``: a real control plane, on loopback, ours to end and nobody else's."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from hack import cluster as tool
from hack import tools

from tests.support.cluster import ROOT, ClusterAccess, available, own_cluster, service_account_kubeconfig
from tests.support.kube import Kube, KubeError

COMPONENTS = {"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"}


def make(target: str, state: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a make target; what a surrounding make says of itself (MAKELEVEL) is not passed on."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--assume-old=.venv/.stamp", target],
        cwd=ROOT,
        env={**clean, "GATEWAY_TELEMETRY_STATE": str(state), **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def marker(state: Path) -> dict[str, tuple[int, int]]:
    """Return pid and start time of each process that belongs to the cluster."""
    result: dict[str, tuple[int, int]] = json.loads((state / "default" / tool.MARKER).read_text())["processes"]
    return result


def alive(processes: dict[str, tuple[int, int]]) -> list[str]:
    return [name for name, (pid, born) in processes.items() if tool.start_time(pid) == born]


def listening(pid: int) -> set[str]:
    """Return the addresses on which a process accepts TCP connections, as the kernel writes them."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            inodes.add(target.removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if columns[3] == "0A" and columns[9] in inodes:  # 0A is LISTEN
                found.add(columns[1])
    return found


def free_block(size: int = 6) -> int:
    """Return the first of some free ports in a row, below those that the kernel gives out by itself."""
    for base in range(21000, 31000, size):
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for port in range(base, base + size):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
            return base
    raise AssertionError("no free ports between 21000 and 31000")


@pytest.fixture
def stranger() -> Iterator[int]:
    """Run a process that no cluster started, and return its pid."""
    process = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield process.pid
    process.kill()
    process.wait()


def test_up_twice_is_one_cluster_and_down_ends_what_up_started(tmp_path: Path, stranger: int) -> None:
    state = tmp_path / "state"
    first = make("cluster-up", state)
    try:
        assert first.returncode == 0, first.stderr
        kubeconfig = Path(first.stdout.splitlines()[-1])
        assert kubeconfig == state / "default" / "kubeconfig"
        processes = marker(state)
        assert set(processes) == COMPONENTS
        assert sorted(alive(processes)) == sorted(COMPONENTS)

        second = make("cluster-up", state)
        assert second.returncode == 0, second.stderr
        assert second.stdout.splitlines()[-1] == str(kubeconfig)
        assert marker(state) == processes
        with Kube(ClusterAccess(kubeconfig)) as kube:
            assert [node["metadata"]["name"] for node in kube.list("node")] == ["kwok-0", "kwok-1"]
    finally:
        down = make("cluster-down", state)
    assert down.returncode == 0, down.stderr
    assert alive(processes) == []
    assert not (state / "default").exists()
    assert tool.start_time(stranger) is not None
    again = make("cluster-down", state)
    assert again.returncode == 0, again.stderr


def test_up_replaces_a_cluster_that_lost_a_part(tmp_path: Path) -> None:
    state = tmp_path / "state"
    broken = tool.start("default", state=state)
    try:
        broken.halt("etcd", kill=True)
        before = marker(state)
        whole = tool.start("default", state=state, die_with_parent=True)
        try:
            assert alive(before) == []
            assert whole.healthy()
        finally:
            whole.stop()
    finally:
        broken.stop()


def test_down_spares_a_process_that_only_has_the_pid(tmp_path: Path, stranger: int) -> None:
    """Pids are used again: a marker left over from before a reboot may name anybody's process."""
    born = tool.start_time(stranger)
    assert born is not None
    folder = tmp_path / "default"
    folder.mkdir()
    tool.Cluster("default", folder, "https://127.0.0.1:1", {"etcd": (stranger, born - 1)}).save()
    found = tool.Cluster.read(folder)
    assert found is not None
    found.stop()
    assert tool.start_time(stranger) == born
    assert not folder.exists()


def test_a_cluster_on_configured_ports_listens_on_loopback_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = free_block()
    monkeypatch.setenv("GATEWAY_TELEMETRY_PORT_BASE", str(base))
    with own_cluster(tmp_path, "ports") as access:
        assert access.server == f"https://127.0.0.1:{base + 2}"
        addresses = {name: listening(pid) for name, (pid, _) in access.processes.processes.items()}
    assert addresses["kube-apiserver"] == {f"0100007F:{base + 2:04X}"}
    for name, found in addresses.items():
        assert found, name
        assert {address.split(":")[0] for address in found} == {"0100007F"}, name


def test_files_with_keys_are_the_owners_alone(cluster: ClusterAccess) -> None:
    folder = cluster.processes.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "pki" / "ca.crt").exists()


def test_a_start_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(tool.ClusterError) as caught:
        tool.start("broken", state=tmp_path, apiserver_args=("--no-such-flag",))
    assert "kube-apiserver ended" in str(caught.value)
    assert "unknown flag: --no-such-flag" in str(caught.value)
    assert not (tmp_path / "broken").exists()


def test_a_cluster_of_somebody_else_is_refused_unless_its_context_is_named(
    cluster: ClusterAccess, tmp_path: Path
) -> None:
    foreign = tmp_path / "config"
    foreign.write_text(cluster.kubeconfig.read_text())
    with pytest.raises(tool.ClusterError, match="does not belong to a cluster that was started here: name its context"):
        tool.ensure_ours(foreign, None, state=tmp_path)
    tool.ensure_ours(foreign, "prod", state=tmp_path)


def test_a_cluster_that_ended_is_no_longer_ours(tmp_path: Path) -> None:
    folder = tmp_path / "default"
    folder.mkdir()
    ended = tool.Cluster("default", folder, "https://127.0.0.1:1", {"etcd": (os.getpid(), 1)})
    ended.kubeconfig.write_text(yaml.safe_dump({}))
    ended.save()
    with pytest.raises(tool.ClusterError, match="does not belong to a cluster"):
        tool.ensure_ours(ended.kubeconfig, None, state=tmp_path)


@pytest.mark.parametrize(("present", "code", "word"), [(True, 0, "running"), (False, 1, "not running")])
def test_status(cluster: ClusterAccess, tmp_path: Path, present: bool, code: int, word: str) -> None:
    state = cluster.processes.folder.parent if present else tmp_path
    done = subprocess.run(
        [sys.executable, "-m", "hack.cluster", "status", "--name", "tests"],
        cwd=ROOT,
        env={**os.environ, "GATEWAY_TELEMETRY_STATE": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, f"tests: {word}\n")


def test_the_server_reports_the_pinned_version(cluster: ClusterAccess, kube: Kube) -> None:
    assert cluster.processes.alive("kube-apiserver")
    assert kube.call("GET", "/version")["gitVersion"] == tools.pinned_version(tools.TOOLS["kube-apiserver"])


def test_rbac_is_on(cluster: ClusterAccess, kube: Kube, namespace: str, tmp_path: Path) -> None:
    for name in ("nobody", "reader"):
        kube.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}})
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader", "namespace": namespace}}
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}]
    kube.create({**role, "kind": "Role", "rules": rules})
    kube.create(
        {
            **role,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": namespace}],
        }
    )
    for name in ("nobody", "reader"):
        file = service_account_kubeconfig(cluster, namespace, name, tmp_path)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        with Kube(ClusterAccess(file)) as account:
            if name == "reader":
                assert account.list("secrets", namespace) == []
                continue
            with pytest.raises(KubeError) as caught:
                account.list("secrets", namespace)
            assert caught.value.status == 403
            assert f'User "system:serviceaccount:{namespace}:nobody" cannot list resource "secrets"' in str(
                caught.value
            )


def test_a_stranger_is_not_let_in(cluster: ClusterAccess) -> None:
    tls = ssl.create_default_context(cadata=cluster.ca)
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = httpx.get(f"{cluster.server}/api/v1/namespaces", headers=headers, verify=tls, trust_env=False)
        assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")


def test_a_deployment_becomes_available_on_the_kwok_nodes(kube: Kube, namespace: str) -> None:
    labels = {"app": "web"}
    kube.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {"containers": [{"name": "web", "image": "registry.example.com/web:1"}]},
                },
            },
        }
    )
    kube.wait("the Deployment is Available", lambda: available(kube, namespace, "web"))


def test_a_halted_api_server_comes_back_with_what_it_knew(private_cluster: ClusterAccess) -> None:
    processes = private_cluster.processes
    with Kube(private_cluster) as kube:
        kube.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}, "data": {"a": "b"}})
        processes.halt("kube-apiserver", kill=True)
        assert processes.get("/readyz") == (0, None)
        processes.restart("kube-apiserver")
        kube.wait("the ConfigMap is served again", lambda: kube.raw("GET", "/readyz").status_code == 200)
        kept = kube.get("configmap", "default", "kept")
        assert kept is not None
        assert kept["data"] == {"a": "b"}
