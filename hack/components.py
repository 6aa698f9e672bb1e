"""Command lines and objects of a test control plane: what each component is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STAGES = HERE / "kwok"
AUDIT_LOG = "audit.log"


def etcd(binary: str, folder: Path, port: int, peer_port: int) -> list[str]:
    client = f"http://127.0.0.1:{port}"
    peer = f"http://127.0.0.1:{peer_port}"
    return [
        binary,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver(binary: str, folder: Path, port: int, etcd_port: int) -> list[str]:
    certs = folder / "pki"
    return [
        binary,
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={certs / 'apiserver.crt'}",
        f"--tls-private-key-file={certs / 'apiserver.key'}",
        f"--client-ca-file={certs / 'ca.crt'}",
        "--authorization-mode=Node,RBAC",
        "--anonymous-auth=false",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={certs / 'service-account.pub'}",
        f"--service-account-signing-key-file={certs / 'service-account.key'}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--endpoint-reconciler-type=none",  # an endpoint of loopback is refused
        "--allow-privileged=true",
        "--profiling=false",
        f"--audit-policy-file={HERE / 'audit-policy.yaml'}",
        f"--audit-log-path={folder / AUDIT_LOG}",
    ]


def controller_manager(binary: str, folder: Path, port: int) -> list[str]:
    certs = folder / "pki"
    return [
        binary,
        f"--kubeconfig={folder / 'controller-manager.kubeconfig'}",
        f"--root-ca-file={certs / 'ca.crt'}",
        f"--service-account-private-key-file={certs / 'service-account.key'}",
        "--use-service-account-credentials=true",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'controller-manager'}",
        "--leader-elect=false",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        "--concurrent-deployment-syncs=10",
        "--concurrent-gc-syncs=20",
    ]


def scheduler(binary: str, folder: Path, port: int) -> list[str]:
    return [
        binary,
        f"--kubeconfig={folder / 'scheduler.kubeconfig'}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'scheduler'}",
        "--leader-elect=false",
    ]


def kwok(binary: str, folder: Path, port: int) -> list[str]:
    return [
        binary,
        f"--kubeconfig={folder / 'kwok.kubeconfig'}",
        "--manage-all-nodes=true",
        f"--server-address=127.0.0.1:{port}",
        "--node-lease-duration-seconds=40",
        *(f"--config={stage}" for stage in sorted(STAGES.glob("*.yaml"))),
    ]


def node(name: str) -> dict[str, Any]:
    """A node that kwok plays."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "type": "kwok"},
        },
        "status": {"capacity": {"cpu": "64", "memory": "256Gi", "pods": "2000"}},
    }


def kubeconfig(context: str, server: str, folder: Path, user: str) -> dict[str, Any]:
    certs = folder / "pki"
    entry = {"client-certificate": str(certs / f"{user}.crt"), "client-key": str(certs / f"{user}.key")}
    cluster = {"server": server, "certificate-authority": str(certs / "ca.crt")}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": context, "cluster": cluster}],
        "users": [{"name": user, "user": entry}],
        "contexts": [{"name": context, "context": {"cluster": context, "user": user}}],
        "current-context": context,
    }
