"""TrueFoundry's control plane in the loop: one trace export for a tenant, written, kept, and given back.

The control plane is a stand-in behind real TLS that knows TrueFoundry's own types; see tests/support/truefoundry.py.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.programs import truefoundry_gateway
from tests.support import objects
from tests.support.cluster import ClusterAccess
from tests.support.kube import Kube, KubeError, condition
from tests.support.langsmith import CertificateAuthority, StandIn
from tests.support.objects import KEY, Object
from tests.support.operator import PROGRAM, OperatorProcess, Watching, watching
from tests.support.sdk_reader import runs_of
from tests.support.truefoundry import KEY as TFY_KEY
from tests.support.truefoundry import TENANT, ControlPlane, Fault
from tests.unit.langsmith_standin.clients import WORKSPACE, sdk

TRACES = "otel_traces_exporter_config"
METRICS = {
    "type": "http",
    "endpoint": "https://metrics.example.com/v1/metrics",
    "encoding": "json",
    "headers": {"authorization": "metrics-marked4711"},
}
FORMER = {"type": "gateway-otel-config", "otel_metrics_exporter_config": METRICS}
BY_HAND = {
    "type": "gateway-otel-config",
    TRACES: {"type": "http", "endpoint": "https://elsewhere.example.com/v1/traces", "encoding": "json"},
}
FLAGS = ("--insecure-allow-loopback", "--allow-host=127.0.0.1", "--cluster-name=test")


@pytest.fixture(scope="module")
def operator(cluster: ClusterAccess, kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watching]:
    folder = tmp_path_factory.mktemp("tenants")
    with watching(kube, cluster.kubeconfig, folder, 24, *FLAGS) as found:
        yield found


@dataclass
class Shop:
    """A namespace with a target and all that a gateway of TrueFoundry needs."""

    kube: Kube
    name: str
    control_plane: ControlPlane

    def gateway(self, name: str = "gateway", namespace: str | None = None, **spec: Any) -> Object:
        way = {
            "url": self.control_plane.url,
            "tenant": TENANT,
            "secretRef": {"name": "truefoundry", "key": "api-key"},
            "caBundleRef": {"kind": "ConfigMap", "name": "corp-ca"},
            **spec.pop("way", {}),
        }
        options = {"type": "truefoundry", "truefoundry": {"allowKeyInControlPlane": True, **spec.pop("options", {})}}
        base: Object = {"gateway": options, "install": {"controlPlane": way}}
        return objects.gateway(namespace or self.name, name, **{**base, **spec})

    def wait(self, type_: str, status: str = "True", reason: str | None = None, name: str = "gateway") -> Object:
        return self.kube.wait_condition("gatewaytelemetry", self.name, name, type_, status, reason)

    def programmed(self, **spec: Any) -> Object:
        self.kube.apply(self.gateway(**spec))
        return self.wait("Programmed")

    def touch(self, value: str) -> None:
        """Ask for a new look."""
        patch = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": value}}}
        self.kube.merge_patch("gatewaytelemetry", self.name, "gateway", patch)

    def delete(self) -> None:
        self.kube.delete("gatewaytelemetry", self.name, "gateway")
        self.kube.wait_gone("gatewaytelemetry", self.name, "gateway")

    def records(self) -> list[Object]:
        return [item for item in self.kube.list("secret", self.name) if "tenant" in item["metadata"]["name"]]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def control_plane(authority: CertificateAuthority) -> Iterator[ControlPlane]:
    with ControlPlane(authority.server("127.0.0.1")) as found:
        yield found


@pytest.fixture
def shop(operator: Watching, kube: Kube, control_plane: ControlPlane, authority: CertificateAuthority) -> Shop:
    found = Shop(kube, operator.namespace(), control_plane)
    furnish(kube, found.name, authority)
    return found


def furnish(kube: Kube, namespace: str, authority: CertificateAuthority) -> None:
    kube.apply(objects.secret(namespace))
    kube.apply(objects.secret(namespace, "truefoundry", TFY_KEY))
    kube.apply(objects.ca_bundle(namespace, authority.bundle.read_text(), "corp-ca"))
    kube.apply(objects.target(namespace))


def stamp(shop: Shop) -> str:
    assert shop.control_plane.exporter is not None
    found: str = shop.control_plane.exporter["additional_resource_attributes"]["gatewaytelemetry.id"]
    return found


def test_the_export_is_written_read_back_changed_and_taken_back(shop: Shop) -> None:
    seen = shop.programmed(
        resourceAttributes={"team": "payments"},
        capture={"content": False},
        options={"encoding": "Json", "when": [{"key": "tfy.request.model_name", "values": ["gpt-5", "claude"]}]},
    )
    place = f"{TENANT}/{shop.control_plane.host}"
    assert shop.control_plane.exporter == {
        "type": "http",
        "endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces",
        "encoding": "json",
        "headers": {"x-api-key": KEY, "langsmith-project": "checkout"},
        "additional_resource_attributes": {"gatewaytelemetry.id": stamp(shop), "team": "payments"},
        "exclude_request_data": True,
        "when": [
            {"field": "spanAttributes", "key": "tfy.request.model_name", "operator": "IN", "value": ["gpt-5", "claude"]}
        ],
    }
    (sink,) = seen["status"]["sinks"]
    assert (sink["kind"], sink["name"], sink["state"]) == ("ControlPlane", place, "Programmed")
    assert seen["status"]["counts"] == {"matched": 1, "programmed": 1}
    assert seen["status"]["traces"]["project"] == "checkout"
    assert condition(seen, "Ready")["status"] == "True"
    assert seen["metadata"]["finalizers"] == ["gatewaytelemetry.dev/restore"]

    shop.kube.merge_patch("gatewaytelemetry", shop.name, "gateway", {"spec": {"project": "a project of ours"}})
    shop.kube.wait(
        "the project is changed",
        lambda: (shop.control_plane.exporter or {}).get("headers", {}).get("langsmith-project") == "a project of ours",
    )
    shop.wait("Programmed")
    assert len(shop.control_plane.writes()) == 2

    shop.delete()
    assert shop.control_plane.objects == {}
    assert shop.records() == []


def test_what_stood_there_before_stays_and_comes_back(shop: Shop) -> None:
    shop.control_plane.objects[TENANT] = FORMER
    shop.programmed()
    assert shop.control_plane.objects[TENANT]["otel_metrics_exporter_config"] == METRICS
    assert shop.control_plane.exporter is not None
    shop.delete()
    assert shop.control_plane.objects == {TENANT: FORMER}


def test_a_rotated_key_arrives_also_where_values_are_masked(shop: Shop) -> None:
    shop.control_plane.masks = True
    shop.programmed()
    assert len(shop.control_plane.writes()) == 1
    shop.kube.apply(objects.secret(shop.name, key="lsv2_sk_fedcba9876543210_new"))
    shop.kube.wait(
        "the new key is there",
        lambda: (shop.control_plane.exporter or {})["headers"]["x-api-key"] == "lsv2_sk_fedcba9876543210_new",
    )
    shop.wait("Programmed")
    shop.touch("1")
    shop.kube.wait("it was looked at", lambda: answered(shop) == "1")
    assert len(shop.control_plane.writes()) == 2


def answered(shop: Shop) -> str | None:
    found = shop.kube.get("gatewaytelemetry", shop.name, "gateway") or {}
    value: str | None = found.get("status", {}).get("lastHandledRequest")
    return value


def test_masked_headers_of_others_are_not_destroyed(shop: Shop) -> None:
    shop.control_plane.objects[TENANT] = FORMER
    shop.control_plane.masks = True
    shop.kube.apply(shop.gateway())
    seen = shop.wait("Programmed", "False", "ControlPlaneConflict")
    assert "otel_metrics_exporter_config.headers.authorization" in condition(seen, "Programmed")["message"]
    assert shop.control_plane.objects == {TENANT: FORMER}
    assert shop.control_plane.writes() == []
    shop.delete()


def test_an_export_made_by_hand_is_left_alone_until_it_is_switched_off(shop: Shop) -> None:
    shop.control_plane.objects[TENANT] = BY_HAND
    shop.kube.apply(shop.gateway())
    seen = shop.wait("Programmed", "False", "ControlPlaneConflict")
    assert "written by hand" in condition(seen, "Programmed")["message"]
    assert condition(seen, "Stalled")["status"] == "True"
    assert shop.control_plane.writes() == []
    assert shop.records() == []
    del shop.control_plane.objects[TENANT]
    shop.touch("1")
    shop.wait("Programmed")
    shop.delete()
    assert shop.control_plane.objects == {}


def test_what_somebody_changes_is_put_back_and_what_somebody_replaces_is_theirs(shop: Shop) -> None:
    shop.programmed()
    written = shop.control_plane.exporter
    assert written is not None
    shop.control_plane.objects[TENANT][TRACES] = {**written, "endpoint": "https://elsewhere.example.com/v1/traces"}
    shop.touch("1")
    shop.kube.wait("it was put back", lambda: shop.control_plane.exporter == written)
    shop.control_plane.objects[TENANT] = BY_HAND
    shop.touch("2")
    shop.wait("Programmed", "False", "ControlPlaneConflict")
    shop.delete()
    assert shop.control_plane.objects == {TENANT: BY_HAND}
    assert shop.records() == []


def test_one_gateway_owns_a_tenant(operator: Watching, shop: Shop, authority: CertificateAuthority) -> None:
    shop.programmed()
    shop.kube.apply(shop.gateway("second"))
    seen = shop.wait("Accepted", "False", "Conflicted", name="second")
    assert "GatewayTelemetry gateway configures it" in condition(seen, "Accepted")["message"]
    other = operator.namespace()
    furnish(shop.kube, other, authority)
    shop.kube.apply(shop.gateway("third", namespace=other))
    seen = shop.kube.wait_condition("gatewaytelemetry", other, "third", "Accepted", "False", "Conflicted")
    assert "one of another namespace" in condition(seen, "Accepted")["message"]
    first = stamp(shop)
    shop.kube.delete("gatewaytelemetry", other, "third")
    shop.delete()
    shop.wait("Programmed", name="second")
    assert stamp(shop) != first
    shop.kube.delete("gatewaytelemetry", shop.name, "second")
    shop.kube.wait("it was taken back", lambda: shop.control_plane.objects == {})


def test_without_consent_there_is_no_such_object(shop: Shop) -> None:
    wanted = shop.gateway()
    del wanted["spec"]["gateway"]["truefoundry"]
    with pytest.raises(KubeError) as caught:
        shop.kube.create(wanted)
    assert "set gateway.truefoundry.allowKeyInControlPlane: true" in caught.value.message
    wanted = shop.gateway()
    wanted["spec"]["gateway"]["type"] = "litellm"
    with pytest.raises(KubeError) as caught:
        shop.kube.create(wanted)
    assert "install.controlPlane is TrueFoundry's" in caught.value.message


@pytest.mark.parametrize(
    ("change", "type_", "reason"),
    [
        ({"way": {"tenant": "other"}}, "Programmed", "TenantMismatch"),
        ({"way": {"secretRef": {"name": "wrong", "key": "api-key"}}}, "Programmed", "ControlPlaneKeyRejected"),
        ({"way": {"secretRef": {"name": "absent", "key": "api-key"}}}, "ResolvedRefs", "SecretNotFound"),
        ({"way": {"secretRef": {"name": "langsmith", "key": "api-key"}}}, "ResolvedRefs", "KeyMalformed"),
        ({"way": {"secretRef": {"name": "bound", "key": "api-key"}}}, "ResolvedRefs", "KeyNotForHost"),
        ({"way": {"url": "https://control-plane.example.com"}}, "Accepted", "HostNotAllowed"),
        ({"project": "Zürich"}, "Programmed", "ProjectNameUnsupportedByAdapter"),
        ({"targetRef": {"name": "private"}}, "Programmed", "CABundleUnsupportedByAdapter"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_written(
    shop: Shop, authority: CertificateAuthority, change: Object, type_: str, reason: str
) -> None:
    bound = objects.secret(shop.name, "bound", TFY_KEY)
    bound["metadata"]["annotations"] = {"gatewaytelemetry.dev/hosts": "acme.truefoundry.cloud"}
    shop.kube.apply(bound)
    shop.kube.apply(objects.secret(shop.name, "wrong", "tfy-wrong-marked4711"))
    reference = {"kind": "ConfigMap", "name": "corp-ca"}
    private = {"selfHosted": {"url": "https://127.0.0.1:9"}, "caBundleRef": reference}
    shop.kube.apply(objects.target(shop.name, "private", **private))
    shop.kube.apply(shop.gateway(**change))
    seen = shop.wait(type_, "False", reason)
    assert "marked4711" not in str(seen)
    assert shop.control_plane.writes() == []
    assert shop.control_plane.objects == {}
    shop.delete()


def test_a_control_plane_without_dry_runs_tells_the_tenant_afterwards(shop: Shop) -> None:
    shop.control_plane.dry_runs = False
    shop.kube.apply(shop.gateway(way={"tenant": "other"}))
    shop.wait("Programmed", "False", "TenantMismatch")
    assert shop.control_plane.objects == {}
    shop.delete()
    shop.programmed()
    assert shop.control_plane.exporter is not None
    shop.delete()


def test_a_write_that_is_taken_and_forgotten_is_told(shop: Shop) -> None:
    shop.control_plane.drops = True
    shop.kube.apply(shop.gateway())
    seen = shop.wait("Programmed", "False", "ControlPlaneRefused")
    assert "and shows others: type, endpoint" in condition(seen, "Programmed")["message"]
    shop.delete()


def test_a_control_plane_that_fails_is_waited_for_and_its_text_is_not_repeated(shop: Shop, operator: Watching) -> None:
    shop.control_plane.down = Fault(503, b'{"message": "echo-marked4711"}')
    shop.kube.apply(shop.gateway())
    seen = shop.wait("Programmed", "False", "ControlPlaneUnavailable")
    assert condition(seen, "Reconciling")["status"] == "True"
    assert "marked4711" not in str(seen)
    shop.control_plane.down = None
    shop.wait("Programmed")
    assert "marked4711" not in operator.process.log()


def test_a_pause_that_is_asked_for_is_kept(shop: Shop) -> None:
    shop.control_plane.down = Fault(429, headers={"retry-after": "600"})
    shop.kube.apply(shop.gateway())
    shop.wait("Programmed", "False", "ControlPlaneUnavailable")
    shop.control_plane.down = None
    shop.touch("1")
    shop.kube.wait("it was reconciled again", lambda: answered(shop) == "1")
    assert [item.status for item in shop.control_plane.requests] == [429]


def test_deletion_waits_for_a_control_plane_that_is_away(shop: Shop) -> None:
    shop.programmed()
    shop.control_plane.down = Fault(500)
    # A GitOps tool prunes all at once: the keys are gone before the object is.
    shop.kube.delete("secret", shop.name, "truefoundry")
    shop.kube.delete("secret", shop.name, "langsmith")
    shop.kube.delete("gatewaytelemetry", shop.name, "gateway")
    shop.wait("Programmed", "False", "Restoring")
    assert shop.control_plane.exporter is not None
    shop.control_plane.down = None
    shop.kube.wait_gone("gatewaytelemetry", shop.name, "gateway")
    assert shop.control_plane.objects == {}
    assert shop.records() == []


def test_an_operator_that_was_killed_finds_what_it_wrote(shop: Shop, operator: Watching) -> None:
    shop.programmed()
    before = shop.kube.get("gatewaytelemetry", shop.name, "gateway")
    operator.process.kill()
    operator.process.start()
    seen = len(shop.control_plane.requests)
    shop.kube.wait("it has looked again", lambda: len(shop.control_plane.requests) > seen)
    shop.touch("1")
    shop.kube.wait("it was reconciled", lambda: answered(shop) == "1")
    assert len(shop.control_plane.writes()) == 1
    assert before is not None
    after = shop.kube.get("gatewaytelemetry", shop.name, "gateway")
    assert after is not None
    assert after["status"]["conditions"] == before["status"]["conditions"]
    shop.kube.merge_patch("gatewaytelemetry", shop.name, "gateway", {"spec": {"deletionPolicy": "Orphan"}})
    shop.kube.wait("the finalizer is off", lambda: "finalizers" not in metadata(shop))
    shop.kube.wait("it is remembered that it stays", lambda: remembered(shop)["orphan"])
    shop.delete()
    # The next of that name sees what the first has left; had it been taken back, it would be written anew.
    shop.programmed()
    assert len(shop.control_plane.writes()) == 1
    assert not remembered(shop)["orphan"]
    shop.delete()
    assert shop.control_plane.objects == {}


def remembered(shop: Shop) -> Object:
    (record,) = shop.records()
    found: Object = json.loads(base64.b64decode(record["data"]["control-plane.json"]))
    return found


def metadata(shop: Shop) -> Object:
    found = shop.kube.get("gatewaytelemetry", shop.name, "gateway")
    assert found is not None
    result: Object = found["metadata"]
    return result


def test_keys_are_in_secrets_and_in_the_write_alone(shop: Shop, operator: Watching) -> None:
    shop.control_plane.objects[TENANT] = FORMER
    shop.programmed()
    (record,) = shop.records()
    assert record["metadata"]["labels"]["gatewaytelemetry.dev/role"] == "copy"
    told = str([shop.kube.list(kind, shop.name) for kind in ("gatewaytelemetry", "langsmithtarget", "event")])
    told += operator.process.log()
    assert [mark for mark in (KEY, TFY_KEY, "metrics-marked4711") if mark in told] == []


def test_uninstall_gives_it_back_and_a_reporting_operator_writes_nothing(
    cluster: ClusterAccess, kube: Kube, control_plane: ControlPlane, authority: CertificateAuthority, tmp_path: Path
) -> None:
    control_plane.objects[TENANT] = FORMER
    with watching(kube, cluster.kubeconfig, tmp_path / "operator", 1, *FLAGS) as operator:
        shop = Shop(kube, operator.namespace(), control_plane)
        furnish(kube, shop.name, authority)
        shop.programmed()
        assert operator.process.stop() == 0
        flags = [f"--kubeconfig={cluster.kubeconfig}", f"--watch-namespace={shop.name}", "--insecure-allow-loopback"]
        done = subprocess.run(
            [str(PROGRAM), "uninstall", *flags], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"tenant {TENANT} at {control_plane.host} is as it was" in done.stdout
        assert control_plane.objects == {TENANT: FORMER}
        assert shop.records() == []
        with OperatorProcess(
            cluster.kubeconfig, tmp_path / "reporting", f"--watch-namespace={shop.name}", *FLAGS, "--read-only"
        ):
            shop.wait("Programmed", "False", "ReadOnly")
        assert control_plane.objects == {TENANT: FORMER}


def test_traces_arrive_by_what_stands_in_the_control_plane(
    cluster: ClusterAccess, kube: Kube, control_plane: ControlPlane, authority: CertificateAuthority, tmp_path: Path
) -> None:
    keys = {KEY: WORKSPACE}
    with (
        StandIn(tls=authority.server("127.0.0.1"), keys=keys) as root,
        StandIn("langsmith/dev", tls=authority.server("127.0.0.1"), keys=keys) as below_a_path,
        watching(kube, cluster.kubeconfig, tmp_path / "operator", 1, *FLAGS, verify=True) as operator,
    ):
        shop = Shop(kube, operator.namespace(), control_plane)
        furnish(kube, shop.name, authority)
        for name, langsmith, project in (
            ("root", root, "Checkout prod"),
            ("path", below_a_path, "Payments, EU"),
        ):
            kube.apply(self_hosted(shop.name, name, langsmith))
            wanted = shop.gateway(targetRef={"name": name}, project=project)
            # The stand-in's gateway trusts the CA by its own means, as a control plane with global.customCA would.
            wanted["spec"]["gateway"]["caInstalled"] = True
            kube.apply(wanted)
            kube.wait("it is told where to", partial(exports_to, control_plane, langsmith.url))
            shop.wait("Delivered", "Unknown", "NoTraffic")
            export(control_plane, authority)
            shop.wait("Delivered")
            with sdk(langsmith.api_url, key=KEY, ca=authority.bundle) as client:
                assert [run.name for run in runs_of(client, project)] == ["ChatCompletion"]
        shop.delete()


def self_hosted(namespace: str, name: str, langsmith: StandIn) -> Object:
    credential = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    return objects.target(
        namespace,
        name,
        selfHosted={"url": langsmith.url},
        caBundleRef={"kind": "ConfigMap", "name": "corp-ca"},
        credentials={"ingest": credential, "read": credential},
        workspaceId=WORKSPACE,
        verification={"probeInterval": "30s", "canary": {"mode": "Off"}},
    )


def exports_to(control_plane: ControlPlane, url: str) -> bool:
    endpoint: str = (control_plane.exporter or {}).get("endpoint", "")
    return endpoint.startswith(url)


def export(control_plane: ControlPlane, authority: CertificateAuthority) -> None:
    """Let the tenant's gateway serve one request: a program exports by what the control plane says."""
    command = [sys.executable, truefoundry_gateway.__file__, control_plane.url, TFY_KEY, str(authority.bundle)]
    environment = {key: text for key, text in os.environ.items() if not key.endswith("_CA_BUNDLE")}
    ended = subprocess.run(
        [*command, "What is 6 times 7?"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
