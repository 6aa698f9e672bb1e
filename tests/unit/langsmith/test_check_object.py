"""``check lst/NAME`` and ``check gt/NAME``: what the objects say, read from an API server that serves them."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.support.langsmith import CertificateAuthority
from tests.support.traced_gateway import traced_gateway
from tests.unit.cli.run import Ran
from tests.unit.cluster.server import Asked, answer, refusal, serving
from tests.unit.langsmith.setting import KEY, READ_KEY, WORKSPACE, stand_in

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
GROUP = "/apis/gatewaytelemetry.dev/v1alpha1/namespaces/ai"
CORE = "/api/v1/namespaces/ai"


def source(kind: str, name: str, data: dict[str, Any], *, labelled: bool = True) -> dict[str, Any]:
    labels = {"gatewaytelemetry.dev/role": "source"} if labelled else {}
    metadata = {"name": name, "namespace": "ai", "uid": name, "labels": labels}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": data}


def custom(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ai", "uid": name, "generation": 1}
    metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
    return {"apiVersion": "gatewaytelemetry.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def cluster(url: str, ca: CertificateAuthority) -> dict[str, dict[str, Any]]:
    keys = {"ingest": base64.b64encode(KEY.encode()).decode(), "read": base64.b64encode(READ_KEY.encode()).decode()}
    target = {
        "selfHosted": {"url": url},
        "credentials": {
            "ingest": {"secretRef": {"name": "keys", "key": "ingest"}},
            "read": {"secretRef": {"name": "keys", "key": "read"}},
        },
        "caBundleRef": {"kind": "ConfigMap", "name": "ca"},
        "workspaceId": WORKSPACE,
        "project": "of-the-target",
    }
    gateway = {
        "targetRef": {"name": "prod"},
        "gateway": {"type": "litellm"},
        "install": {"inject": {"workloads": {"selector": {"matchLabels": {"app": "litellm"}}}}},
        "project": "of-the-gateway",
    }
    return {
        f"{GROUP}/langsmithtargets/prod": custom("LangSmithTarget", "prod", target),
        f"{GROUP}/gatewaytelemetries/litellm": custom("GatewayTelemetry", "litellm", gateway),
        f"{CORE}/secrets/keys": source("Secret", "keys", keys),
        f"{CORE}/configmaps/ca": source("ConfigMap", "ca", {"ca.crt": ca.bundle.read_text()}),
    }


async def check(objects: dict[str, dict[str, Any]], folder: Path, *args: str) -> Ran:
    async def handle(asked: Asked) -> web.StreamResponse:
        assert asked.method == "GET"
        found = objects.get(asked.path)
        if found is None:
            return refusal(404, "NotFound")
        return refusal(403, "Forbidden") if found.get("refused") else answer(found)

    async with serving(handle) as server:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server.url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        }
        (folder / "config").write_text(yaml.safe_dump(config))
        where = ("--kubeconfig", str(folder / "config"), "--context", "here", "-n", "ai")
        program = await asyncio.create_subprocess_exec(
            PROGRAM, "check", *args, *where, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = (text.decode() for text in await program.communicate())
    for text in (out, err):
        assert KEY not in text
        assert READ_KEY not in text
        assert "Traceback" not in text
    assert program.returncode is not None
    return Ran(program.returncode, out, err)


@pytest.mark.parametrize(("name", "project"), [("lst/prod", "of-the-target"), ("gt/litellm", "of-the-gateway")])
async def test_what_the_object_says_is_checked(
    ca: CertificateAuthority, tmp_path: Path, name: str, project: str
) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        ran = await check(cluster(langsmith.url, ca), tmp_path, name)
        (run,) = langsmith.store.runs(WORKSPACE, project=project)
        assert len({seen.key_fingerprint for seen in langsmith.store.requests() if seen.key_fingerprint}) == 2
    assert (ran.code, ran.err.splitlines()[0]) == (0, "  ok  DNS: 127.0.0.1 is 127.0.0.1")
    assert [line.split(":")[0] for line in ran.out.splitlines()[:5]] == [
        " yes  Accepted (Accepted)",
        " yes  ResolvedRefs (Resolved)",
        " yes  Reachable (Reachable)",
        " yes  Authenticated (Authenticated)",
        " yes  Ingesting (Ingested)",
    ]
    assert str(run.id) in ran.out.splitlines()[5]


@pytest.mark.parametrize(
    ("stamp", "more", "code", "end"),
    [
        ("3be9581bbb04", (), 0, " yes  Delivered (Delivered)"),
        ("9572bf85caaf", ("--cluster-name", "east"), 0, " yes  Delivered (Delivered)"),
        ("9572bf85caaf", (), 3, "   ?  Delivered (NoTraffic)"),
    ],
)
async def test_the_gateways_own_traces_are_known_by_its_stamp(
    ca: CertificateAuthority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stamp: str,
    more: tuple[str, ...],
    code: int,
    end: str,
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would take the exporter's own CA away
        monkeypatch.delenv(name, raising=False)
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        where = (langsmith.traces_url, KEY, "of-the-gateway", stamp)
        with traced_gateway(*where, continues=False, ca=ca.bundle) as gateway:
            args = ("gt/litellm", "--through", gateway.url, "--patience", "4", *more)
            ran = await check(cluster(langsmith.url, ca), tmp_path, *args)
    assert ran.code == code
    assert ran.out.splitlines()[5].startswith(end)


async def test_a_secret_without_the_label_is_not_there(ca: CertificateAuthority, tmp_path: Path) -> None:
    objects = cluster("https://127.0.0.1:1", ca)
    objects[f"{CORE}/secrets/keys"] = source("Secret", "keys", {}, labelled=False)
    ran = await check(objects, tmp_path, "lst/prod")
    assert ran.code == 1
    assert "  NO  ResolvedRefs (SecretNotFound): " in ran.out


async def test_without_a_read_key_it_cannot_be_told(ca: CertificateAuthority, tmp_path: Path) -> None:
    with stand_in(tls=ca.server("127.0.0.1")) as langsmith:
        objects = cluster(langsmith.url, ca)
        del objects[f"{GROUP}/langsmithtargets/prod"]["spec"]["credentials"]["read"]
        ran = await check(objects, tmp_path, "lst/prod")
    assert ran.code == 3
    assert "   ?  Ingesting (NoReadKey): " in ran.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("lst/other",), "LangSmithTarget ai/other does not exist"),
        (("gt/other",), "GatewayTelemetry ai/other does not exist"),
        (("deployment/x",), "write lst/NAME for a LangSmithTarget or gt/NAME for a GatewayTelemetry"),
        (("lst/prod", "--url", "https://x.example.com"), "leave the options out"),
    ],
)
async def test_usage(ca: CertificateAuthority, tmp_path: Path, args: tuple[str, ...], message: str) -> None:
    ran = await check(cluster("https://127.0.0.1:1", ca), tmp_path, *args)
    assert (ran.code, ran.out) == (2, "")
    assert message in " ".join(ran.err.split())


async def test_a_cluster_that_refuses_leaves_it_open(ca: CertificateAuthority, tmp_path: Path) -> None:
    objects = cluster("https://127.0.0.1:1", ca)
    objects[f"{CORE}/secrets/keys"] = {"refused": True}
    ran = await check(objects, tmp_path, "lst/prod")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("the cluster cannot be asked: ")
