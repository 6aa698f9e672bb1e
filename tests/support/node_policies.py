"""NetworkPolicies enforced on the test node, by iptables rules in its network namespace.

The node's bridge plugin enforces none. kube-network-policies, the reference implementation, hands packets to itself
through nftables' queue, which kernels of small virtual machines often leave out; iptables' filter is everywhere.
Meaning of the fields: https://kubernetes.io/docs/concepts/services-networking/network-policies/
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from hack.node import Node

from tests.support.kube import Kube
from tests.support.objects import Object

_HOOKS = ("FORWARD", "INPUT")
"""To other pods and out of the node, and to the node's own DNS."""
PERIOD = 0.2
"""Seconds between looks at pods and policies; like any plugin it comes a moment after a pod has started."""


class Enforcer:
    """Enforces all NetworkPolicies of the cluster while the block runs."""

    def __init__(self, node: Node, kube: Kube) -> None:
        self._node = node
        self._kube = kube
        self._rules = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="network-policies")
        self._failure: Exception | None = None

    def __enter__(self) -> Enforcer:
        self._sync()
        for chain in _HOOKS:
            self._iptables("-I", chain, "-j", "GT-POLICIES")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        for chain in _HOOKS:
            self._iptables("-D", chain, "-j", "GT-POLICIES")
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.wait(PERIOD):
                self._sync()
        except Exception as failure:  # told when the block ends
            self._failure = failure

    def _sync(self) -> None:
        rules = "\n".join(_table(_Cluster(self._kube)))
        if rules != self._rules:
            self._check(self._node.run("iptables-restore", "--wait", "--noflush", input_=rules + "\n"))
            self._rules = rules

    def _iptables(self, *arguments: str) -> None:
        self._check(self._node.run("iptables", "--wait", "-t", "mangle", *arguments))

    @staticmethod
    def _check(done: subprocess.CompletedProcess[str]) -> None:
        if done.returncode != 0:
            raise subprocess.SubprocessError(f"{done.args}: {done.stderr}")


class _Cluster:
    def __init__(self, kube: Kube) -> None:
        listed = [item for item in kube.list("pod") if item["status"].get("podIP")]
        self.pods = [item for item in listed if item["status"].get("phase") in ("Pending", "Running")]
        self.policies = kube.list("networkpolicy")
        self.namespaces = {item["metadata"]["name"]: _labels(item) for item in kube.list("namespace")}

    def selected(self, policy: Object, direction: str) -> list[Object]:
        """Return the pods that a policy isolates in a direction."""
        spec = policy["spec"]
        types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
        if direction not in types:
            return []
        namespace = policy["metadata"]["namespace"]
        return [
            pod
            for pod in self.pods
            if pod["metadata"]["namespace"] == namespace and _matches(spec.get("podSelector") or {}, _labels(pod))
        ]

    def peers(self, rule: Mapping[str, Any], key: str, namespace: str) -> Iterator[tuple[str, list[str]]]:
        """Yield the networks of a rule's peers, each with what is excepted from it."""
        if not rule.get(key):
            yield "0.0.0.0/0", []
            return
        for peer in rule[key]:
            if "ipBlock" in peer:
                block = peer["ipBlock"]
                if ":" not in block["cidr"]:
                    yield block["cidr"], [item for item in block.get("except") or () if ":" not in item]
                continue
            for pod in self.pods:
                where = pod["metadata"]["namespace"]
                if "namespaceSelector" in peer:
                    inside = _matches(peer["namespaceSelector"], self.namespaces.get(where, {}))
                else:
                    inside = where == namespace
                if inside and _matches(peer.get("podSelector") or {}, _labels(pod)):
                    yield f"{pod['status']['podIP']}/32", []


def _labels(item: Object) -> dict[str, str]:
    return dict(item["metadata"].get("labels") or {})


def _matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for item in selector.get("matchExpressions") or ():
        values, found = item.get("values") or (), labels.get(item["key"])
        holds = {
            "In": found in values,
            "NotIn": found not in values,
            "Exists": found is not None,
            "DoesNotExist": found is None,
        }[item["operator"]]
        if not holds:
            return False
    return True


def _ports(rule: Mapping[str, Any], pod: Object) -> list[str]:
    """Return iptables matches of a rule's ports.

    Args:
        pod: what names of ports are looked up in: the isolated pod, which is right for ingress only.
    """
    result = []
    for port in rule.get("ports") or ():
        protocol = str(port.get("protocol") or "TCP").lower()
        match = f"-p {protocol}"
        if "port" in port:
            match += f" --dport {_number(port['port'], pod)}" + (f":{port['endPort']}" if "endPort" in port else "")
        result.append(match)
    return result or [""]


def _number(port: int | str, pod: Object) -> int:
    if isinstance(port, int):
        return port
    named = (item for container in pod["spec"]["containers"] for item in container.get("ports") or ())
    return next(int(item["containerPort"]) for item in named if item.get("name") == port)


def _table(cluster: _Cluster) -> Iterator[str]:
    """Yield the input of iptables-restore: per isolated pod and direction a chain that ends with DROP."""
    chains: dict[str, list[str]] = {}
    jumps: list[str] = []
    for direction, key, peers, mine, theirs in (
        ("Egress", "egress", "to", "-s", "-d"),
        ("Ingress", "ingress", "from", "-d", "-s"),
    ):
        for policy in cluster.policies:
            for pod in cluster.selected(policy, direction):
                address = pod["status"]["podIP"]
                name = f"GT-{direction[:2]}-{address}"
                if name not in chains:
                    chains[name] = []
                    jumps.append(f"-A GT-POLICIES {mine} {address} -j {name}")
                for rule in policy["spec"].get(key) or ():
                    for network, excepted in cluster.peers(rule, peers, policy["metadata"]["namespace"]):
                        for port in _ports(rule, pod):
                            if not excepted:
                                chains[name].append(f"-A {name} {theirs} {network} {port} -j RETURN")
                                continue
                            # Excepted addresses are not allowed by this rule; another may allow them.
                            aside = f"GT-X{len(chains)}"
                            chains[aside] = [f"-A {aside} {theirs} {item} -j RETURN" for item in excepted]
                            chains[aside].append(f"-A {aside} -j MARK --set-xmark 0x67/0xff")
                            chains[name].append(f"-A {name} -j MARK --set-xmark 0x0/0xff")
                            chains[name].append(f"-A {name} {theirs} {network} {port} -j {aside}")
                            chains[name].append(f"-A {name} -m mark --mark 0x67/0xff -j RETURN")
    yield "*mangle"  # nobody else filters there
    yield ":GT-POLICIES - [0:0]"
    for name in chains:
        yield f":{name} - [0:0]"
    yield "-A GT-POLICIES -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN"
    yield from jumps
    for name, rules in chains.items():
        yield from rules
        if not name.startswith("GT-X"):
            yield f"-A {name} -j DROP"
    yield "COMMIT"
