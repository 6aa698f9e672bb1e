"""Configuration of a real test node: containerd, its network, kubelet, kube-proxy and the cluster's DNS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DNS_ADDRESS = "10.96.0.10"
PAUSE = "gateway-telemetry.test/pause:1"
CNI_BINARIES = "/usr/lib/cni"
"""Where Debian's containernetworking-plugins are."""


def containerd(folder: Path) -> str:
    """Return containerd's configuration: nothing of the machine's own containerd is touched."""
    return f"""\
version = 3
root = "{folder}/containerd"
state = "{folder}/run/containerd"
[grpc]
  address = "{folder}/run/containerd.sock"
[ttrpc]
  address = "{folder}/run/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{CNI_BINARIES}"]
  conf_dir = "{folder}/cni"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins."io.containerd.internal.v1.opt"]
  path = "{folder}/opt"
"""


def network(pods: str) -> str:
    """Return the CNI configuration: one bridge, addresses handed out on this node, nothing else."""
    plugins: list[dict[str, Any]] = [
        {
            "type": "bridge",
            "bridge": "pods",
            "isGateway": True,
            "ipMasq": True,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/gateway-telemetry-cni",
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return json.dumps({"cniVersion": "1.0.0", "name": "pods", "plugins": plugins})


def kubelet(folder: Path, ca: Path, cgroup: str) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(ca)}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "clusterDNS": [DNS_ADDRESS],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{folder}/run/containerd.sock",
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "makeIPTablesUtilChains": True,
        "nodeStatusUpdateFrequency": "5s",
        "podLogsDir": f"{folder}/pod-logs",
        "resolvConf": f"{folder}/resolv.conf",
        "serializeImagePulls": False,
        "syncFrequency": "10s",
        # A full disk of the developer's machine is no reason to evict the tests' pods.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "0%", "imagefs.available": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
    }


def kube_proxy(folder: Path, pods: str, node: str) -> dict[str, Any]:
    """Return kube-proxy's configuration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(folder / "kube-proxy.kubeconfig")},
        "clusterCIDR": pods,
        "hostnameOverride": node,
        "mode": "iptables",
        "conntrack": {"maxPerCore": 0},  # a setting of the whole machine
        "bindAddress": "0.0.0.0",  # noqa: S104 of a network namespace of its own
    }


def corefile(kubeconfig: Path) -> str:
    """Return the configuration of the cluster's DNS."""
    return f"""\
.:53 {{
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
    }}
}}
"""


def dns_objects(address: str) -> list[dict[str, Any]]:
    """Return Service and endpoints of the cluster's DNS, which runs as a process of the node."""
    ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
    metadata = {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports],
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
            "ports": [{"name": name, "port": 53, "protocol": protocol} for name, protocol in ports],
        },
    ]
