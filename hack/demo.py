#!/usr/bin/env python3
"""The main job, end to end, on real parts, without a node: ``make demo`` where there can be none.

A control plane of its own (or a kind cluster that you name), the chart's objects, the operator, a LangSmith stand-in
under a path prefix and behind a private CA, and the real LiteLLM proxy, started with exactly the environment and files
that the operator wrote into its Deployment. Each step is checked; the first that fails ends the demo with exit code 1.
"""

from __future__ import annotations

import argparse
import copy
import difflib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import yaml
from langsmith import Client
from langsmith.schemas import Run
from tests.support import helm
from tests.support.cluster import ClusterAccess, Kubectl, kubectl_for, named_cluster, service_account_kubeconfig
from tests.support.gateway_venv import VenvError
from tests.support.kube import Kube, KubeError, same, wait
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.litellm import LiteLLM
from tests.support.operator import OperatorProcess
from tests.support.pod import PodError
from tests.support.sdk_reader import arrived, calls, tree
from tests.unit.langsmith_standin.clients import sdk

from hack import cluster, tools
from hack.demo_tell import NAMESPACE, PROJECT, DemoError, Narrator, prove

Object = dict[str, Any]
Handler = Callable[[int, FrameType | None], Any] | int | None
"""What `signal.signal` takes and returns."""

SYSTEM = helm.NAMESPACE
EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "litellm.yaml"
WORKSPACE = "5f2c7a3e-0000-4000-8000-000000000001"
BASE_PATH = "langsmith/dev"
REQUESTS = 3
STEPS = 10
ARRIVAL_SECONDS = 40.0
RESTORE_SECONDS = 30.0
CA_OVERRIDES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@contextmanager
def chosen_cluster(context: str | None, folder: Path) -> Iterator[ClusterAccess]:
    """Give the named kind cluster, or the demo's own: the running one of that name, or one that ends with the block.

    Raises:
        DemoError: the context is not kind's, or there is no such context.
    """
    if context is not None:
        if not context.startswith("kind-"):
            raise DemoError(f"context {context!r} is not one of kind's (kind-…): the demo touches no other cluster")
        try:
            yield named_cluster(context, folder)
        except subprocess.CalledProcessError:
            raise DemoError(f"the kubeconfig has no context {context!r}") from None
        return
    found = cluster.Cluster.read(cluster.STATE / "demo")
    own = found is None or not found.healthy()
    control_plane = cluster.start("demo", die_with_parent=True)
    try:
        cluster.ensure_ours(control_plane.kubeconfig, None)
        yield ClusterAccess(control_plane.kubeconfig, control_plane)
    finally:
        if own:
            control_plane.stop()


def namespaces(kubectl: Kubectl, kube: Kube) -> None:
    for name in (SYSTEM, NAMESPACE):
        if (kube.get("namespace", None, name) or {}).get("metadata", {}).get("deletionTimestamp"):
            kube.wait_gone("namespace", None, name, timeout=60)
        item = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(item))


def install(kubectl: Kubectl, kube: Kube) -> list[Object]:
    """Apply the chart for one namespace and return its objects; kwok runs no programs, so no replica is asked for."""
    values = {"replicas": 0, "watchNamespaces": [NAMESPACE], "insecureAllowLoopback": True}
    chart = helm.rendered(values, version="helm3")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(chart))
    for item in helm.of_kind(chart, "CustomResourceDefinition"):
        # Not `kubectl wait`: it fails where a new CRD still has the conditions null.
        kube.wait_condition("crd", None, item["metadata"]["name"], "Established")
    return chart


def operator(access: ClusterAccess, chart: Sequence[Object], folder: Path) -> OperatorProcess:
    """Return the operator as the chart's Deployment starts it, with a token of the chart's ServiceAccount."""
    arguments, env = helm.operator_process_spec(chart)
    [account] = helm.of_kind(chart, "ServiceAccount")
    kubeconfig = service_account_kubeconfig(access, SYSTEM, account["metadata"]["name"], folder)
    addresses = ("--health-address", "--metrics-address")  # the pod's own; here other ports of loopback
    flags = [item for item in arguments[1:] if not item.startswith(addresses)]
    return OperatorProcess(kubeconfig, folder, *flags, env=env, verify=True)


def manifests(langsmith: StandIn, ca: CertificateAuthority, key: str) -> list[Object]:
    """Return the example of LiteLLM, pointed at the stand-in."""
    text = EXAMPLE.read_text().replace("example-litellm", NAMESPACE)
    items: dict[str, Object] = {item["kind"]: item for item in yaml.safe_load_all(text)}
    items["Secret"]["stringData"]["api-key"] = key
    spec = items["LangSmithTarget"]["spec"]
    del spec["saas"]
    spec["credentials"]["read"] = spec["credentials"]["ingest"]  # proof of delivery is read with it
    spec["selfHosted"] = {"url": langsmith.url.removesuffix(f"/{BASE_PATH}"), "basePath": BASE_PATH}
    spec |= {"caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"}}
    spec |= {"workspaceId": WORKSPACE, "project": PROJECT}
    labels = {"gatewaytelemetry.dev/role": "source"}
    own = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "langsmith-ca", "namespace": NAMESPACE, "labels": labels},
        "data": {"ca.crt": ca.bundle.read_text()},
    }
    master = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "litellm", "namespace": NAMESPACE},
        "stringData": {"master-key": f"sk-{secrets.token_hex(32)}"},
    }
    return [own, master, *items.values()]


def clear(kubectl: Kubectl) -> None:
    """Remove what an interrupted run left, the GatewayTelemetry first, so that the operator restores."""
    for kinds in ("gatewaytelemetries", "langsmithtargets,deployments,configmaps,secrets"):
        kubectl("delete", kinds, "--all", "-n", NAMESPACE, "--timeout=60s", timeout=90)


def live(kube: Kube) -> Object:
    found = kube.get("deployment", NAMESPACE, "litellm")
    if found is None:
        raise DemoError(f"Deployment {NAMESPACE}/litellm is gone")
    return found


def difference(before: Object, after: Object) -> str:
    """Return how two objects differ, as a unified diff of their YAML; empty if they do not."""
    first, second = (yaml.safe_dump(item, sort_keys=False).splitlines() for item in (before, after))
    return "\n".join(difflib.unified_diff(first, second, "before", "after", lineterm="", n=2))


def deliver(
    tell: Narrator, kubectl: Kubectl, kube: Kube, langsmith: StandIn, ca: CertificateAuthority, key: str, folder: Path
) -> None:
    """Send requests through the real proxy, and look for them as LangSmith's users do, and as the operator does."""
    tell.step("starting the real LiteLLM proxy with the environment and files of the live Deployment")
    prompts = [f"Question {number} ({secrets.token_hex(4)})" for number in range(1, REQUESTS + 1)]
    with LiteLLM.of(kube, live(kube), folder) as proxy:
        for prompt in prompts:
            tell.say(f"{prompt} -> {proxy.chat(prompt)}")
        tell.step("reading the project and its runs with LangSmith's SDK")
        with sdk(langsmith.api_url, key=key, ca=ca.bundle) as client:
            runs = wait(
                f"the requests are runs of project {PROJECT!r}",
                lambda: arrived(client, PROJECT, prompts),
                ARRIVAL_SECONDS,
            )
            shown(tell, client, runs)
            prove(tell, kubectl, kube, client)
        log = proxy.log()
    if any(prompt in log for prompt in prompts):
        raise DemoError("LiteLLM printed prompts to its log")


def shown(tell: Narrator, client: Client, runs: Sequence[Run]) -> None:
    """Check that the runs are in the one intended project, each request once; show the last trace.

    Raises:
        DemoError: they are elsewhere, or not as many as were asked for.
    """
    projects = [project.name for project in client.list_projects()]
    if projects != [PROJECT]:
        raise DemoError(f"traces went to other projects than {PROJECT!r}: {projects}")
    found = calls(runs)
    if len(found) != REQUESTS:
        raise DemoError(f"{len(found)} calls arrived in place of {REQUESTS}")
    tell.say(f"project {projects[0]!r} has {len(runs)} runs, {len(found)} of them calls of the model; the last trace:")
    tell.say(tree(runs, found[-1]))


def secret_names(kube: Kube) -> list[str]:
    return sorted(item["metadata"]["name"] for item in kube.list("secret", NAMESPACE))


def restore(tell: Narrator, kubectl: Kubectl, kube: Kube, before: Object) -> None:
    """Delete the GatewayTelemetry and compare the Deployment with what it was."""
    tell.step("deleting the GatewayTelemetry")
    tell.run(kubectl, "delete", "gatewaytelemetry", "litellm", "--timeout=60s")
    # An operator that watches named namespaces puts no finalizer on: the object may be gone before its settings are.
    same("", lambda: difference(before["spec"], live(kube)["spec"]), "the Deployment is as it was", RESTORE_SECONDS)
    same(["langsmith", "litellm"], lambda: secret_names(kube), "no other Secret is left", RESTORE_SECONDS)
    after = live(kube)
    owners = [entry["manager"] for entry in after["metadata"]["managedFields"]]
    marks = [name for name in after["metadata"].get("annotations", {}) if name.startswith("gatewaytelemetry.dev/")]
    if "gateway-telemetry" in owners or marks:
        raise DemoError(f"the Deployment still carries the operator's marks: managers {owners}, annotations {marks}")
    tell.say("the Deployment's spec is as it was before, and the operator's Secrets are gone")


def demonstrate(context: str | None, folder: Path) -> None:
    """Do all steps.

    Raises:
        DemoError: a result is not as it must be.
    """
    tell = Narrator(STEPS)
    with ExitStack() as stack:
        tell.step(f"cluster: {context or 'etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok'}")
        access = stack.enter_context(chosen_cluster(context, folder))
        kubectl = kubectl_for(access)
        kube = stack.enter_context(Kube(access))
        tell.say(f"{access.context} at {access.server}")

        tell.step("installing the chart's objects")
        namespaces(kubectl, kube)
        chart = install(kubectl, kube)
        tell.say("\n".join(f"{item['kind']} {item['metadata']['name']}" for item in chart))

        tell.step("starting the operator as a process of this machine, with a token of the chart's ServiceAccount")
        stack.enter_context(operator(access, chart, folder))
        clear(kubectl)

        ca = CertificateAuthority(folder / "pki")
        key = f"lsv2_sk_{secrets.token_hex(16)}"
        langsmith = StandIn(BASE_PATH, tls=ca.server("127.0.0.1"), keys={key: WORKSPACE})
        stack.enter_context(langsmith)
        tell.step(f"LangSmith stand-in under {langsmith.api_url}, behind a private CA")

        tell.step(f"applying {EXAMPLE.parent.name}/{EXAMPLE.name}, pointed at it")
        items = manifests(langsmith, ca, key)
        first = [item for item in items if item["kind"] != "GatewayTelemetry"]
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(first))
        before = copy.deepcopy(live(kube))
        two = [item for item in items if item["kind"] in ("LangSmithTarget", "GatewayTelemetry")]
        kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(two))
        tell.say(yaml.safe_dump_all(two, sort_keys=False))

        tell.step("waiting until it is Ready")
        tell.run(kubectl, "wait", "--for=condition=Ready", "gatewaytelemetry/litellm", "--timeout=90s")
        tell.run(kubectl, "get", "langsmithtargets,gatewaytelemetries")
        tell.say("the Deployment differs by")
        tell.say(difference(before["spec"]["template"], live(kube)["spec"]["template"]))

        deliver(tell, kubectl, kube, langsmith, ca, key, folder)
        restore(tell, kubectl, kube, before)
        kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def forget_ca_overrides() -> None:
    """Drop the variables of this machine that win over the CA that LangSmith's SDK is given."""
    for name in CA_OVERRIDES:
        os.environ.pop(name, None)


def end_on_signal() -> Handler:
    """Let a request to end unwind all that was started; return what was done about it before."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    return signal.signal(signal.SIGTERM, end)


def concluded(demonstrate: Callable[[Path], None], failures: tuple[type[Exception], ...]) -> int:
    """Run a demo in a folder of its own; tell how it ended, and return the exit code.

    Args:
        failures: what may be wrong with the machine or the cluster, besides the demo's own findings.
    """
    expected: tuple[type[Exception], ...] = (DemoError, AssertionError, *failures)
    forget_ca_overrides()
    began = time.monotonic()
    previous = end_on_signal()
    try:
        with tempfile.TemporaryDirectory(prefix="gateway-telemetry-demo-") as folder:
            demonstrate(Path(folder))
    except KeyboardInterrupt:
        print("\n[demo] interrupted; all that it started has ended", file=sys.stderr)
        return 130
    except expected as error:
        summary, _, details = str(error).partition("\n")
        if details:
            print(details, file=sys.stderr)
        print(f"[demo] failed: {summary}", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, previous)
    print(f"\n[demo] all as it must be ({time.monotonic() - began:.0f} s)")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if all was as it must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--context",
        default=os.environ.get("CONTEXT") or None,
        metavar="kind-NAME",
        help="use this kind cluster of your kubeconfig (also $CONTEXT) in place of a control plane of the demo's own",
    )
    options = parser.parse_args(arguments)
    failures = (KubeError, PodError, VenvError, cluster.ClusterError, tools.BuildError)
    return concluded(lambda folder: demonstrate(options.context, folder), failures)


if __name__ == "__main__":
    sys.exit(main())
