#!/usr/bin/env python3
"""Build the pinned Go programs that tests and the demo stand on, once per machine.

No image registry or binary download is assumed: every program is compiled from the Go
modules pinned under ``hack/tools/``. A program is kept outside the checkout, in a folder
whose name is the hash of everything it is built from (go.mod, go.sum, flags, Go version), so
a clean clone compiles nothing that this machine has compiled before.

Standard library only, because it runs before any virtual environment exists.

Usage: ``python3 hack/tools.py [--path NAME | NAME …]`` builds NAME (default: all of the tier
``cluster``) and prints one ``NAME PATH`` line each; ``--path NAME`` prints only the path.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent / "tools"
CACHE = Path(
    os.environ.get("GATEWAY_TELEMETRY_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gateway-telemetry-operator"
)
HEARTBEAT_SECONDS = 15.0


@dataclass(frozen=True)
class Tool:
    """One program: the folder of its go.mod, its main package, and how its version is stamped."""

    name: str
    module: str
    package: str
    version_of: str
    stamp: str = ""  # "{v}" is replaced by the pinned version of `version_of`
    tier: str = "cluster"


_K8S = (
    "-X k8s.io/component-base/version.gitVersion={v} "
    "-X k8s.io/component-base/version.gitMajor={major} "
    "-X k8s.io/component-base/version.gitMinor={minor} "
    "-X k8s.io/component-base/version.gitCommit=built-from-module "
    "-X k8s.io/component-base/version.gitTreeState=clean "
    "-X k8s.io/component-base/version.buildDate=1970-01-01T00:00:00Z"
)
_KUBE = "k8s.io/kubernetes"
DEFAULT_KUBE = "1.37"
KUBE = os.environ.get("KUBE") or DEFAULT_KUBE
"""Release of Kubernetes that tests run against, e.g. ``1.34``: a folder of hack/tools for each but the default."""
_KUBE_MODULE = "kubernetes" if KUBE == DEFAULT_KUBE else f"kubernetes-{KUBE}"
_CONTAINERD = "github.com/containerd/containerd/v2"
_FLUX = "github.com/fluxcd"

TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("kube-apiserver", _KUBE_MODULE, f"{_KUBE}/cmd/kube-apiserver", _KUBE, _K8S),
        Tool("kube-controller-manager", _KUBE_MODULE, f"{_KUBE}/cmd/kube-controller-manager", _KUBE, _K8S),
        Tool("kubectl", "kubernetes", f"{_KUBE}/cmd/kubectl", _KUBE, _K8S),
        Tool("kube-scheduler", _KUBE_MODULE, f"{_KUBE}/cmd/kube-scheduler", _KUBE, _K8S),
        Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3"),
        Tool(
            "kwok",
            "kwok",
            "sigs.k8s.io/kwok/cmd/kwok",
            "sigs.k8s.io/kwok",
            "-X sigs.k8s.io/kwok/pkg/consts.Version={v}",
        ),
        Tool(
            "helm3",
            "helm3",
            "helm.sh/helm/v3/cmd/helm",
            "helm.sh/helm/v3",
            "-X helm.sh/helm/v3/internal/version.version={v}",
        ),
        Tool(
            "helm4",
            "helm4",
            "helm.sh/helm/v4/cmd/helm",
            "helm.sh/helm/v4",
            "-X helm.sh/helm/v4/internal/version.version={v}",
        ),
        # Built when a test first asks for them, so that nobody waits for them who does not run that test.
        Tool(
            "source-controller",
            "source-controller",
            f"{_FLUX}/source-controller",
            f"{_FLUX}/source-controller",
            tier="gitops",
        ),
        Tool(
            "kustomize-controller",
            "kustomize-controller",
            f"{_FLUX}/kustomize-controller",
            f"{_FLUX}/kustomize-controller",
            tier="gitops",
        ),
        Tool("argocd-diff", "argocd-diff", ".", "github.com/argoproj/argo-cd/gitops-engine", tier="gitops"),
        # A real node: what hack/node.py starts beside the control plane.
        Tool("kubelet", _KUBE_MODULE, f"{_KUBE}/cmd/kubelet", _KUBE, _K8S, tier="node"),
        Tool("kube-proxy", _KUBE_MODULE, f"{_KUBE}/cmd/kube-proxy", _KUBE, _K8S, tier="node"),
        Tool("containerd", "containerd", f"{_CONTAINERD}/cmd/containerd", _CONTAINERD, tier="node"),
        Tool(
            "containerd-shim-runc-v2",
            "containerd",
            f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
            _CONTAINERD,
            tier="node",
        ),
        Tool("ctr", "containerd", f"{_CONTAINERD}/cmd/ctr", _CONTAINERD, tier="node"),
        Tool("pause", "pause", ".", "", tier="node"),
        Tool("coredns", "coredns", ".", "github.com/coredns/coredns", tier="node"),
        Tool("otelcol", "otelcol", ".", "go.opentelemetry.io/collector/otelcol", tier="gateways"),
        Tool("go-sdk-program", "go-sdk-program", ".", "go.opentelemetry.io/otel/sdk", tier="gateways"),
    )
}

CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")


class BuildError(Exception):
    """A program could not be built; the text is meant for the person at the terminal."""


def say(text: str) -> None:
    print(f"[tools] {text}", file=sys.stderr, flush=True)


def _go_mod(tool: Tool) -> Path:
    file = ROOT / tool.module / "go.mod"
    if not file.exists():
        raise BuildError(f"there is no hack/tools/{tool.module}: KUBE={KUBE} is no release that is prepared")
    return file


def pinned_version(tool: Tool) -> str:
    """Return the version that the tool's go.mod requires, e.g. ``v1.37.2``.

    Raises:
        BuildError: go.mod does not name the module.
    """
    if not tool.version_of:
        return "v0.0.0"  # a program of our own, with nothing but Go's standard library
    text = _go_mod(tool).read_text()
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(tool.version_of)}\s+(v\S+)", text, re.MULTILINE)
    if not found:
        raise BuildError(f"hack/tools/{tool.module}/go.mod does not require {tool.version_of}")
    return found.group(1)


def ldflags(tool: Tool) -> str:
    version = pinned_version(tool)
    major, minor = version.lstrip("v").split(".")[:2]
    return f"-s -w {tool.stamp.format(v=version, major=major, minor=minor)}".strip()


def go_version() -> str:
    if shutil.which("go") is None:
        raise BuildError("'go' is not on PATH: install Go 1.26 or later (https://go.dev/doc/install)")
    return subprocess.run(["go", "env", "GOVERSION"], check=True, capture_output=True, text=True).stdout.strip()


def binary(tool: Tool) -> Path:
    """Return where the program is kept: the folder's name covers all that it is built from."""
    digest = hashlib.sha256()
    sources = sorted((ROOT / tool.module).glob("*.go"))  # only of programs of our own
    for part in (
        _go_mod(tool).read_bytes(),
        (ROOT / tool.module / "go.sum").read_bytes(),
        tool.package.encode(),
        ldflags(tool).encode(),
        go_version().encode(),
        *(source.read_bytes() for source in sources),
    ):
        digest.update(hashlib.sha256(part).digest())
    return CACHE / "bin" / f"{tool.name}-{pinned_version(tool)}-{digest.hexdigest()[:16]}" / tool.name


def build(tool: Tool) -> Path:
    """Build the program unless it is cached, saying every few seconds how far it is.

    Raises:
        BuildError: the Go compiler failed; the last lines of its output are in the text.
    """
    target = binary(tool)
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        partial = target.with_suffix(".partial")
        command = ["go", "build", "-v", "-trimpath", "-ldflags", ldflags(tool), "-o", str(partial), tool.package]
        say(f"{tool.name} {pinned_version(tool)}: building (once per machine; kept in {target.parent})")
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT / tool.module,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOWORK": "off"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines: list[str] = []
        done = threading.Event()

        def heartbeat() -> None:
            while not done.wait(HEARTBEAT_SECONDS):
                say(f"{tool.name}: {len(lines)} packages compiled, {time.monotonic() - started:.0f} s")

        beat = threading.Thread(target=heartbeat, daemon=True)
        beat.start()
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())  # noqa: PERF401 the heartbeat counts them meanwhile
        code = process.wait()
        done.set()
        beat.join()
        if code != 0:
            raise BuildError(f"go build of {tool.name} failed with exit code {code}:\n" + "\n".join(lines[-20:]))
        partial.rename(target)
        size = target.stat().st_size / 1e6
        say(f"{tool.name}: done in {time.monotonic() - started:.0f} s, {size:.0f} MB")
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(TOOLS)}")
    parser.add_argument("--tier", default="cluster", help="build all programs of this tier when no NAME is given")
    parser.add_argument("--path", action="store_true", help="print only the paths")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in TOOLS]
    if unknown:
        parser.error(f"unknown tool {unknown[0]!r}; choose from {', '.join(TOOLS)}")
    names = options.names or [tool.name for tool in TOOLS.values() if tool.tier == options.tier]
    try:
        for name in names:
            path = build(TOOLS[name])
            print(path if options.path else f"{name} {path}", flush=True)
    except BuildError as error:
        print(f"[tools] error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
