#!/usr/bin/env python3
"""A real Kubernetes control plane on loopback, with kwok nodes: what tests and the demo stand on.

``up`` starts etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok from the binaries of
``hack/tools.py`` and prints the path of the kubeconfig as its last line; ``down`` ends exactly the processes
that ``up`` started (a pid counts only together with the start time that the kernel gives it).

Everything lives in one state folder, ``$GATEWAY_TELEMETRY_STATE`` or ``.cluster/`` of the checkout.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import json
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from hack import components, pki, tools

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("GATEWAY_TELEMETRY_STATE") or ROOT / ".cluster")
START_SECONDS = 90.0
STOP_SECONDS = 20.0
NODES = ("kwok-0", "kwok-1")
MARKER = "cluster.json"
NODE_PORTS = 30000
"""First port of Kubernetes' default range of NodePorts."""


class ClusterError(Exception):
    """The cluster could not be started, or is not ours; the text is for the person at the terminal."""


def say(text: str) -> None:
    print(f"[cluster] {text}", file=sys.stderr, flush=True)


def start_time(pid: int) -> int | None:
    """Return the kernel's start time of a process in clock ticks, None if there is none (or only a zombie)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def _candidates() -> Iterator[int]:
    """Yield ports that the kernel gives to nobody by itself, from a place of this process's own on, without end."""
    ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    lowest = 10000
    # Where the kernel gives away all ports, these are as good as others.
    ports = range(lowest, min(ephemeral, NODE_PORTS) if ephemeral > 2 * lowest else NODE_PORTS)
    first = random.randrange(len(ports))  # noqa: S311 no secret: only apart from other processes of this machine
    return itertools.cycle([*ports[first:], *ports[:first]])


_ports = _candidates()


def free_ports(count: int) -> list[int]:
    """Return free TCP ports of loopback; from ``GATEWAY_TELEMETRY_PORT_BASE`` on when that is set.

    No port is returned twice before all others were, and none is one that outgoing connections are given, so that it
    is still free when a program that was told of it starts to listen.
    """
    base = os.environ.get("GATEWAY_TELEMETRY_PORT_BASE")
    if base:
        return [int(base) + index for index in range(count)]
    found: list[int] = []
    while len(found) < count:
        port = next(_ports)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        found.append(port)
    return found


def wait_for(what: str, check: Callable[[], bool], deadline: float) -> None:
    """Poll until the check holds.

    Raises:
        ClusterError: it did not hold in time.
    """
    while not check():
        if time.monotonic() > deadline:
            raise ClusterError(f"{what} did not happen in time")
        time.sleep(0.05)


def die_with_this_thread() -> None:
    """Let a child, before it becomes another program, end with the thread that started it."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass
class Cluster:
    """A running control plane."""

    name: str
    folder: Path
    server: str
    processes: dict[str, tuple[int, int]] = field(default_factory=dict)
    commands: dict[str, list[str]] = field(default_factory=dict)
    die_with_parent: bool = False
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)

    @property
    def context(self) -> str:
        return f"gateway-telemetry-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def ca(self) -> Path:
        return self.folder / "pki" / "ca.crt"

    def save(self) -> None:
        data = {
            "name": self.name,
            "server": self.server,
            "kubeconfig": str(self.kubeconfig),
            "processes": self.processes,
            "commands": self.commands,
        }
        (self.folder / MARKER).write_text(json.dumps(data, indent=2))

    @classmethod
    def read(cls, folder: Path) -> Cluster | None:
        try:
            data = json.loads((folder / MARKER).read_text())
        except (OSError, ValueError):
            return None
        processes = {name: (int(pid), int(born)) for name, (pid, born) in data["processes"].items()}
        return cls(data["name"], folder, data["server"], processes, data["commands"])

    def run(self, component: str, command: Sequence[str], *, umask: int = 0o077) -> None:
        """Start one component; its output goes to a log file in the state folder."""
        self.commands[component] = list(command)
        with (self.folder / f"{component}.log").open("ab") as log:
            child = subprocess.Popen(
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=umask,
                preexec_fn=die_with_this_thread if self.die_with_parent else None,
            )
        self._children[component] = child
        born = start_time(child.pid)
        if born is None:
            raise ClusterError(f"{component} ended at once\n{self.tail(component)}")
        self.processes[component] = (child.pid, born)
        self.save()

    def alive(self, component: str) -> bool:
        pid, born = self.processes.get(component, (0, 0))
        child = self._children.get(component)
        if child is not None:
            child.poll()
        return pid > 0 and start_time(pid) == born

    def halt(self, component: str, *, kill: bool = False) -> None:
        """End one component, if the process of that pid is still the one that was started."""
        if self.alive(component):
            pid, _ = self.processes[component]
            os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
            end = time.monotonic() + STOP_SECONDS
            while self.alive(component):
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                    end = time.monotonic() + STOP_SECONDS
                time.sleep(0.02)
        self.processes.pop(component, None)
        child = self._children.pop(component, None)
        if child is not None:
            child.wait()

    def restart(self, component: str) -> None:
        """Start a halted component again with the same command."""
        self.run(component, self.commands[component])

    def tail(self, component: str, lines: int = 15) -> str:
        log = self.folder / f"{component}.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    def get(self, path: str) -> tuple[int, Any]:
        """Return status and JSON (or text) of a GET as admin; status 0 when nobody answers."""
        return self.request("GET", path)

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        tls = ssl.create_default_context(cafile=str(self.ca))
        pki_folder = self.folder / "pki"
        tls.load_cert_chain(pki_folder / "admin.crt", pki_folder / "admin.key")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 the scheme is fixed
            self.server + path, data, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(request, context=tls, timeout=5) as answer:  # noqa: S310
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        except OSError:
            return 0, None
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode(errors="replace")

    def healthy(self) -> bool:
        return (
            all(self.alive(item) for item in self.processes) and bool(self.processes) and self.get("/readyz")[0] == 200
        )

    def stop(self) -> None:
        """Kill all processes, the newest first, and remove the state: there is nothing to write back in order.

        Asked to end, an API server waits for its watchers, up to a minute.
        """
        for component in reversed(list(self.processes)):
            self.halt(component, kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def start(
    name: str,
    *,
    state: Path | None = None,
    die_with_parent: bool = False,
    apiserver_args: Sequence[str] = (),
    address: str = "127.0.0.1",
    clients: Mapping[str, tuple[str, str | None]] | None = None,
) -> Cluster:
    """Start a control plane, or return the running one of that name.

    Args:
        address: where the API server listens; elsewhere than on loopback the cluster has no kwok nodes, as real ones
            join it.
        clients: further client certificates, by file: common name and organization.

    Raises:
        ClusterError: a component did not come up; its last log lines are in the text.
    """
    folder = (state or STATE) / name
    old = Cluster.read(folder)
    if old is not None:
        if old.healthy():
            return old
        old.stop()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    folder.chmod(0o700)  # keys of the cluster's CA and of its admin lie below
    binaries = {item: str(tools.build(tools.TOOLS[item])) for item in tools.CONTROL_PLANE}
    ports = free_ports(6)
    cluster = Cluster(name, folder, f"https://{address}:{ports[2]}", die_with_parent=die_with_parent)
    pki.write(folder / "pki", address, clients)
    for user in ("admin", "controller-manager", "scheduler", "kwok"):
        target = cluster.kubeconfig if user == "admin" else folder / f"{user}.kubeconfig"
        target.write_text(yaml.safe_dump(components.kubeconfig(cluster.context, cluster.server, folder, user)))
        target.chmod(0o600)
    try:
        deadline = time.monotonic() + START_SECONDS
        _control_plane(cluster, binaries, ports, apiserver_args, deadline)
        if address == "127.0.0.1":
            _kwok(cluster, binaries["kwok"], ports[5], deadline)
        wait_for("the default ServiceAccount", lambda: _default_account(cluster), deadline)
    except ClusterError as error:
        logs = "\n".join(f"--- {item}\n{cluster.tail(item)}" for item in cluster.commands)
        cluster.stop()
        raise ClusterError(f"{error}\n{logs}") from None
    return cluster


def _control_plane(
    cluster: Cluster, binaries: dict[str, str], ports: Sequence[int], apiserver_args: Sequence[str], deadline: float
) -> None:
    etcd_port, peer_port, port, manager_port, scheduler_port, _ = ports
    folder = cluster.folder
    cluster.run("etcd", components.etcd(binaries["etcd"], folder, etcd_port, peer_port))
    apiserver = components.apiserver(binaries["kube-apiserver"], folder, port, etcd_port)
    cluster.run("kube-apiserver", [*apiserver, *apiserver_args])
    wait_for("an answer of the API server at /livez", lambda: _answers(cluster), deadline)
    manager = components.controller_manager(binaries["kube-controller-manager"], folder, manager_port)
    cluster.run("kube-controller-manager", manager)
    cluster.run("kube-scheduler", components.scheduler(binaries["kube-scheduler"], folder, scheduler_port))
    wait_for("an answer of the API server at /readyz", lambda: _ready(cluster), deadline)


def _kwok(cluster: Cluster, binary: str, port: int, deadline: float) -> None:
    cluster.run("kwok", components.kwok(binary, cluster.folder, port))
    for node in NODES:
        cluster.request("POST", "/api/v1/nodes", components.node(node))
    wait_for("the readiness of the kwok nodes", lambda: _nodes_ready(cluster), deadline)


def _answers(cluster: Cluster) -> bool:
    for component in ("etcd", "kube-apiserver"):
        if not cluster.alive(component):
            raise ClusterError(f"{component} ended")
    return cluster.get("/livez")[0] == 200


def _ready(cluster: Cluster) -> bool:
    return _answers(cluster) and cluster.get("/readyz")[0] == 200


def _nodes_ready(cluster: Cluster) -> bool:
    if not cluster.alive("kwok"):
        raise ClusterError("kwok ended")
    status, nodes = cluster.get("/api/v1/nodes")
    if status != 200:
        return False
    ready = [
        node
        for node in nodes["items"]
        if any(item["type"] == "Ready" and item["status"] == "True" for item in node["status"].get("conditions", ()))
    ]
    return len(ready) == len(NODES)


def _default_account(cluster: Cluster) -> bool:
    return cluster.get("/api/v1/namespaces/default/serviceaccounts/default")[0] == 200


def ensure_ours(kubeconfig: Path, context: str | None, *, state: Path | None = None) -> None:
    """Refuse a cluster that was not started here, unless the user names its context.

    Raises:
        ClusterError: it is somebody else's.
    """
    if context is not None:
        return
    for marker in (state or STATE).glob(f"*/{MARKER}"):
        found = Cluster.read(marker.parent)
        if found is not None and found.kubeconfig.resolve() == kubeconfig.resolve() and found.healthy():
            return
    raise ClusterError(
        f"{kubeconfig} does not belong to a cluster that was started here: name its context if you mean it"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "status"])
    parser.add_argument("--name", default="default")
    options = parser.parse_args(arguments)
    folder = STATE / options.name
    if options.command == "up":
        began = time.monotonic()
        say("starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok (or finding them running)")
        try:
            cluster = start(options.name)
        except (ClusterError, tools.BuildError) as error:
            print(f"[cluster] error: {error}", file=sys.stderr)
            return 1
        say(f"{cluster.context} answers at {cluster.server} ({time.monotonic() - began:.1f} s)")
        print(cluster.kubeconfig)
        return 0
    running = Cluster.read(folder)
    if options.command == "down":
        if running is not None:
            running.stop()
        say(f"{options.name} is down")
        return 0
    healthy = running is not None and running.healthy()
    print(f"{options.name}: {'running' if healthy else 'not running'}")
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
