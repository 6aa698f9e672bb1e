#!/usr/bin/env python3
"""A real Kubernetes node beside a control plane of its own: pods, Services, DNS and network policies really happen.

kubelet, containerd, kube-proxy and CoreDNS run in namespaces made for them (network, mounts, processes, host name),
joined to the machine by one pair of virtual interfaces. With the first process of those namespaces everything in them
ends: processes, mounts, interfaces, rules. Only cgroups and the state folder are left to be removed, also after a
crash. Nothing of the machine's own containers, network or firewall is touched.

``up`` prints the path of the kubeconfig as its last line, ``load`` brings images onto the node, ``down`` ends what
``up`` started, ``possible`` says whether this machine can.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hack import cluster, components, node_config, tools

TOOLS = ("kubelet", "kube-proxy", "containerd", "containerd-shim-runc-v2", "ctr", "coredns")
PACKAGES = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "iptables": "iptables", "runc": "runc"}
CGROUPS = Path("/sys/fs/cgroup")
NODE = "node-0"
READY_SECONDS = 120.0
INIT = Path(__file__).with_name("node_init.py")
HOLDER = "namespaces"


def say(text: str) -> None:
    print(f"[node] {text}", file=sys.stderr, flush=True)


def missing() -> str | None:
    """Return why this machine cannot run a node, in one line; None if it can."""
    if platform.system() != "Linux" or os.geteuid() != 0:
        return "a real node needs Linux and root"
    lacking = sorted({package for program, package in PACKAGES.items() if shutil.which(program) is None})
    if not (Path(node_config.CNI_BINARIES) / "bridge").exists():
        lacking.append("containernetworking-plugins")
    if lacking:
        return f"a real node needs more programs: apt-get install {' '.join(lacking)}"
    if "overlay" not in Path("/proc/filesystems").read_text():
        return "a real node needs the overlay file system"
    if not any(_hierarchies()):
        return "a real node needs cgroups that may be written"
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--mount-proc", "sh", "-c", _TRIAL],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode != 0:
        return f"a real node needs namespaces, bridges and iptables: {tried.stderr.strip().splitlines()[-1:]}"
    return None


_TRIAL = "ip link add name pods type bridge && ip link add name one type veth peer name two && iptables -t nat -L -n"


def _hierarchies() -> list[Path]:
    """Return the roots of the cgroup hierarchies that can be written: one of v2, or the controllers of v1."""
    if (CGROUPS / "cgroup.controllers").exists():
        found = [CGROUPS]
    else:
        # A controller can be there under two names.
        found = sorted({item.resolve() for item in CGROUPS.iterdir() if item.is_dir()})
    return [item for item in found if os.access(item, os.W_OK) and (item / "cgroup.procs").exists()]


class Node:
    """A control plane and one real node."""

    def __init__(self, name: str, state: Path | None = None) -> None:
        self.name = name
        self._state = state or cluster.STATE
        self.folder = self._state / f"{name}-node"
        self._control: cluster.Cluster | None = None
        self._holder: subprocess.Popen[bytes] | None = None
        self.number = 0

    @property
    def cluster(self) -> cluster.Cluster:
        """The control plane.

        Raises:
            cluster.ClusterError: there is none; ``up`` starts it.
        """
        if self._control is None:
            self._control = cluster.Cluster.read(self._state / self.name)
        if self._control is None:
            raise cluster.ClusterError(f"node {self.name} is not up")
        return self._control

    @property
    def address(self) -> str:
        """The machine's own address as pods reach it, for the API server and for servers of the tests."""
        return f"10.233.{self.number}.1"

    @property
    def node_address(self) -> str:
        """The node's address, as the machine and pods reach it."""
        return f"10.233.{self.number}.2"

    @property
    def pods(self) -> str:
        """Network of the pods."""
        return f"10.244.{self.number}.0/24"

    @property
    def cgroup(self) -> str:
        return f"/gateway-telemetry-{self.name}"

    @property
    def kubeconfig(self) -> Path:
        return self.cluster.kubeconfig

    def up(self, *, die_with_parent: bool = False) -> None:
        """Start everything.

        Args:
            die_with_parent: end with the thread that called this, whatever happens to it.

        Raises:
            cluster.ClusterError: something did not start; its last log lines are in the text.
        """
        self.down()
        binaries = {item: str(tools.build(tools.TOOLS[item])) for item in TOOLS}
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o700)
        try:
            pid = self._namespaces(die_with_parent=die_with_parent)
            self._control = cluster.start(
                self.name,
                state=self._state,
                address=self.address,
                die_with_parent=die_with_parent,
                apiserver_args=self._apiserver_args(),
                clients={
                    "kubelet": (f"system:node:{NODE}", "system:nodes"),
                    "kube-proxy": ("system:kube-proxy", None),
                    "coredns": ("coredns", "system:masters"),
                },
            )
            (self.cluster.folder / HOLDER).write_text(str(pid))
            self._start(pid, binaries)
        except BaseException:
            self.down()
            raise

    def _apiserver_args(self) -> list[str]:
        pki = self._state / self.name / "pki"
        return [
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            "--endpoint-reconciler-type=lease",
            "--kubelet-preferred-address-types=InternalIP",
            f"--kubelet-client-certificate={pki / 'admin.crt'}",
            f"--kubelet-client-key={pki / 'admin.key'}",
        ]

    def _namespaces(self, *, die_with_parent: bool) -> int:
        """Make the namespaces and the way into them; return the pid of their first process."""
        used = subprocess.run(["ip", "-o", "addr"], check=True, capture_output=True, text=True).stdout
        self.number = next(item for item in range(1, 250) if f"10.233.{item}." not in used)
        command = ["unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child=SIGKILL", "--mount-proc"]
        with (self.folder / "namespaces.log").open("ab") as log:
            self._holder = holder = subprocess.Popen(
                [*command, sys.executable, "-S", str(INIT)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=cluster.die_with_this_thread if die_with_parent else None,
            )
        self._remember(holder.pid)
        children = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
        deadline = time.monotonic() + 10
        cluster.wait_for("the first process of the node's namespaces", lambda: bool(children.read_text()), deadline)
        pid = int(children.read_text().split()[0])
        link = f"gt{self.number}"
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _run("ip", "addr", "add", f"{self.address}/30", "dev", link)
        _run("ip", "link", "set", link, "up")
        inside = [
            "mount --make-rshared /",
            "for at in /run /var/log /var/lib/cni; do mkdir -p $at && mount -t tmpfs none $at; done",
            "mkdir -p /run/netns",
            f"hostname {NODE}",
            "ip link set lo up",
            f"ip addr add {self.node_address}/30 dev eth0",
            "ip link set eth0 up",
            f"ip route add default via {self.address}",
            "sysctl -qw net.ipv4.ip_forward=1",
            "sysctl -qw net.bridge.bridge-nf-call-iptables=1 2>/dev/null || true",
        ]
        _run(*_enter(pid), "sh", "-ec", "\n".join(inside))
        _run("ip", "route", "add", self.pods, "via", self.node_address)
        return pid

    def _remember(self, pid: int) -> None:
        (self.folder / "holder").write_text(f"{pid} {cluster.start_time(pid)} {self.number}")

    def _start(self, pid: int, binaries: dict[str, str]) -> None:
        folder, control = self.folder, self.cluster
        for name in ("cni", "run", "kubelet"):
            (folder / name).mkdir()
        for root in _hierarchies():
            (root / self.cgroup.strip("/")).mkdir(exist_ok=True)
            _inherit_cpuset(root / self.cgroup.strip("/"))
        write = {
            "containerd.toml": node_config.containerd(folder),
            "cni/10-pods.conflist": node_config.network(self.pods),
            "resolv.conf": f"nameserver {node_config.DNS_ADDRESS}\n",
            "kubelet.yaml": yaml.safe_dump(node_config.kubelet(folder, control.ca, self.cgroup)),
            "kube-proxy.yaml": yaml.safe_dump(node_config.kube_proxy(folder, self.pods, NODE)),
            "Corefile": node_config.corefile(folder / "coredns.kubeconfig"),
        }
        for user in ("kubelet", "kube-proxy", "coredns"):
            entry = components.kubeconfig(control.context, control.server, control.folder, user)
            write[f"{user}.kubeconfig"] = yaml.safe_dump(entry)
        for name, text in write.items():
            (folder / name).write_text(text)
        enter = _enter(pid)
        path = f"PATH={Path(binaries['containerd-shim-runc-v2']).parent}:{os.environ['PATH']}"
        command = [*enter, "env", path, binaries["containerd"], f"--config={folder / 'containerd.toml'}"]
        control.run("containerd", command, umask=0o022)  # the roots of containers are made with it
        deadline = time.monotonic() + READY_SECONDS
        socket = folder / "run" / "containerd.sock"
        cluster.wait_for("containerd's socket", lambda: self._lives("containerd") and socket.exists(), deadline)
        kubelet = [
            binaries["kubelet"],
            f"--config={folder / 'kubelet.yaml'}",
            f"--kubeconfig={folder / 'kubelet.kubeconfig'}",
            f"--root-dir={folder / 'kubelet'}",
            f"--cert-dir={folder / 'kubelet-pki'}",
            f"--hostname-override={NODE}",
            f"--node-ip={self.node_address}",
            "--v=1",
        ]
        control.run("kubelet", [*enter, *kubelet], umask=0o022)
        control.run("coredns", [*enter, binaries["coredns"], f"-conf={folder / 'Corefile'}"])
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "kube-proxy-of-the-node"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-proxy"}],
        }
        control.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
        control.run("kube-proxy", [*enter, binaries["kube-proxy"], f"--config={folder / 'kube-proxy.yaml'}"])
        service, endpoints = node_config.dns_objects(self.node_address)
        control.request("POST", "/api/v1/namespaces/kube-system/services", service)
        control.request("POST", "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", endpoints)
        try:
            cluster.wait_for("the node's readiness", self._ready, deadline)
        except cluster.ClusterError as error:
            logs = "\n".join(f"--- {item}\n{control.tail(item)}" for item in ("containerd", "kubelet", "kube-proxy"))
            raise cluster.ClusterError(f"{error}\n{logs}") from None

    def _lives(self, component: str) -> bool:
        if not self.cluster.alive(component):
            raise cluster.ClusterError(f"{component} ended\n{self.cluster.tail(component)}")
        return True

    def _ready(self) -> bool:
        for component in ("containerd", "kubelet", "coredns"):
            self._lives(component)
        status, found = self.cluster.get(f"/api/v1/nodes/{NODE}")
        conditions: list[dict[str, Any]] = found["status"].get("conditions", []) if status == 200 else []
        return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)

    def load(self, *archives: Path) -> None:
        """Import images from docker-archive files.

        Raises:
            cluster.ClusterError: containerd refuses one.
        """
        pid = int((self.cluster.folder / HOLDER).read_text())
        for archive in archives:
            command = [str(tools.build(tools.TOOLS["ctr"])), f"--address={self.folder / 'run' / 'containerd.sock'}"]
            done = subprocess.run(
                [*_enter(pid), *command, "-n", "k8s.io", "images", "import", "--no-unpack=false", str(archive)],
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise cluster.ClusterError(f"{archive} cannot be imported: {done.stderr.strip()}")

    def run(self, *command: str, input_: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program in the node's namespaces, e.g. ``iptables``."""
        pid = int((self.cluster.folder / HOLDER).read_text())
        return subprocess.run([*_enter(pid), *command], input=input_, capture_output=True, text=True, check=False)

    def down(self) -> None:
        """End everything, also what an earlier process left behind."""
        control = self._control or cluster.Cluster.read(self._state / self.name)
        self._control = None
        with contextlib.suppress(OSError, ValueError):
            pid, born, self.number = (int(part) for part in (self.folder / "holder").read_text().split())
            if cluster.start_time(pid) == born:
                os.kill(pid, signal.SIGKILL)
                deadline = time.monotonic() + cluster.STOP_SECONDS
                cluster.wait_for("the end of the node", lambda: cluster.start_time(pid) != born, deadline)
        if self._holder is not None:
            self._holder.wait()
            self._holder = None
        if control is not None:
            control.stop()
        for root in _hierarchies():
            _remove_cgroups(root / self.cgroup.strip("/"))
        shutil.rmtree(self.folder, ignore_errors=True)


def _enter(pid: int) -> list[str]:
    return ["nsenter", f"--target={pid}", "--mount", "--net", "--pid", "--uts", "--"]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise cluster.ClusterError(f"{' '.join(command)}: {done.stderr.strip()}")


def _inherit_cpuset(folder: Path) -> None:
    """A new cgroup of the v1 controller cpuset has no processors until it is given some."""
    for name in ("cpuset.cpus", "cpuset.mems"):
        if (folder / name).exists() and (folder.parent / name).exists():
            (folder / name).write_text((folder.parent / name).read_text())


def _remove_cgroups(folder: Path) -> None:
    """Remove a cgroup and all below it; they empty a moment after their processes have ended."""
    if not folder.exists():
        return
    deadline = time.monotonic() + cluster.STOP_SECONDS
    for path in sorted((item for item in folder.rglob("*") if item.is_dir()), reverse=True):
        _remove_cgroup(path, deadline)
    _remove_cgroup(folder, deadline)


def _remove_cgroup(path: Path, deadline: float) -> None:
    def gone() -> bool:
        with contextlib.suppress(OSError):
            path.rmdir()
        return not path.exists()

    cluster.wait_for(f"the end of cgroup {path}", gone, deadline)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["up", "down", "load", "possible"])
    parser.add_argument("archives", nargs="*", type=Path, help="docker-archives to load")
    parser.add_argument("--name", default="node")
    options = parser.parse_intermixed_args(arguments)
    why = missing()
    if options.command == "possible" or why is not None:
        say(why or "this machine can run a real node")
        return 0 if why is None else 1
    node = Node(options.name)
    try:
        if options.command == "down":
            node.down()
            say(f"{options.name} is down")
            return 0
        if options.command == "load":
            node.load(*options.archives)
            return 0
        began = time.monotonic()
        node.up()
    except (cluster.ClusterError, tools.BuildError) as error:
        print(f"[node] error: {error}", file=sys.stderr)
        return 1
    say(f"{NODE} is ready ({time.monotonic() - began:.1f} s); the machine is {node.address} for its pods")
    print(node.kubeconfig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
