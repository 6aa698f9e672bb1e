"""Where the connection comes from: kubeconfig files in their forms, plugins, and a Pod's service account."""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from aiohttp import web

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.config import Connection, load
from gateway_telemetry.cluster.errors import ConfigError, Unavailable
from gateway_telemetry.cluster.paths import SECRETS
from tests.unit.cluster.server import Asked, answer, refusal, serving

MARK = "marked4711"
"""Part of every token and password in these tests, so that one search finds a leak."""
TOKEN = f"token-{MARK}"


@pytest.fixture(autouse=True)
def outside_of_clusters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def no_leak(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert MARK not in caplog.text


def kubeconfig(
    path: Path,
    server: str = "http://127.0.0.1:1",
    *,
    user: dict[str, Any] | None = None,
    cluster: dict[str, Any] | None = None,
    name: str = "one",
    namespace: str | None = None,
) -> str:
    """Write a kubeconfig of one context, and return its path."""
    context = {"cluster": name, "user": name} | ({"namespace": namespace} if namespace else {})
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": name,
                "contexts": [{"name": name, "context": context}],
                "clusters": [{"name": name, "cluster": {"server": server, **(cluster or {})}}],
                "users": [{"name": name, "user": {"token": TOKEN} if user is None else user}],
            }
        ),
        encoding="utf-8",
    )
    return str(path)


async def header(connection: Connection) -> str | None:
    return await connection.credentials.authorization()


async def test_a_token_and_the_context_s_namespace(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "http://127.0.0.1:1/prefix/", namespace="team-a")
    connection = await load(path)
    assert (connection.server, connection.default_namespace) == ("http://127.0.0.1:1/prefix", "team-a")
    assert connection.ssl_context is None
    assert await header(connection) == f"Bearer {TOKEN}"
    assert MARK not in repr(connection)
    assert MARK not in repr(connection.credentials)


async def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube" / "config", "http://127.0.0.1:2")
    assert (await load()).server == "http://127.0.0.1:2"
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path / "env", "http://127.0.0.1:3"))
    assert (await load()).server == "http://127.0.0.1:3"
    path = kubeconfig(tmp_path / "given", "http://127.0.0.1:4")
    assert (await load(path)).server == "http://127.0.0.1:4"
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert (await load(path)).server == "http://127.0.0.1:4"
    assert (await load(context="one")).server == "http://127.0.0.1:3"


async def test_several_files_are_merged_and_missing_ones_are_no_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = kubeconfig(tmp_path / "a", "http://127.0.0.1:2", name="one")
    second = kubeconfig(tmp_path / "b", "http://127.0.0.1:3", name="two", user={"token": f"second-{MARK}"})
    monkeypatch.setenv("KUBECONFIG", f"{first}:{tmp_path / 'missing'}:{second}")
    connection = await load(context="two")
    assert connection.server == "http://127.0.0.1:3"
    assert await header(connection) == f"Bearer second-{MARK}"
    assert await header(await load(context="one")) == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({}, None),
        ({"username": "me", "password": MARK}, "Basic " + base64.b64encode(f"me:{MARK}".encode()).decode()),
        ({"token": f" {TOKEN}\n"}, f"Bearer {TOKEN}"),
    ],
)
async def test_forms_of_users(tmp_path: Path, user: dict[str, Any], expected: str | None) -> None:
    connection = await load(kubeconfig(tmp_path / "k", user=user))
    assert await header(connection) == expected
    kopf = await connection.kopf()
    scheme, _, token = (expected or "").partition(" ")
    assert (kopf.scheme, kopf.token) == (scheme or None, token or None)


async def test_a_token_file_lies_beside_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    connection = await load(kubeconfig(tmp_path / "k", user={"tokenFile": "token"}))
    assert await header(connection) == f"Bearer {TOKEN}"


async def test_a_token_file_is_read_again_after_a_minute_and_after_a_401(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(f"one-{MARK}")
    connection = await load(kubeconfig(tmp_path / "k", user={"tokenFile": "token"}))
    (tmp_path / "token").write_text(f"two-{MARK}")
    assert await header(connection) == f"Bearer one-{MARK}"
    assert await connection.credentials.authorization(rejected=f"Bearer one-{MARK}") == f"Bearer two-{MARK}"
    (tmp_path / "token").write_text(f"three-{MARK}")
    assert await header(connection) == f"Bearer two-{MARK}"
    monkeypatch.setattr("gateway_telemetry.cluster.config.REFRESH_SECONDS", 0.0)
    assert await header(connection) == f"Bearer three-{MARK}"


async def test_a_token_file_that_is_gone_for_a_moment_is_an_error_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_telemetry.cluster.config.REFRESH_SECONDS", 0.0)
    (tmp_path / "token").write_text(TOKEN)
    connection = await load(kubeconfig(tmp_path / "k", user={"tokenFile": "token"}))
    (tmp_path / "token").unlink()
    with pytest.raises(ConfigError, match="the credentials are not usable"):
        await header(connection)
    (tmp_path / "token").write_text(f"new-{TOKEN}")
    assert await header(connection) == f"Bearer new-{TOKEN}"


PLUGIN = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
runs = here / "runs"
count = int(runs.read_text()) + 1 if runs.exists() else 1
runs.write_text(str(count))
assert json.loads(os.environ["KUBERNETES_EXEC_INFO"])["kind"] == "ExecCredential"
print((here / "answer").read_text().replace("COUNT", str(count)))
sys.exit(int(os.environ.get("PLUGIN_EXIT", "0")))
"""


class Plugin:
    """A real exec plugin: a small script that answers what a file beside it holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "plugin"
        self.path.write_text(PLUGIN.format(python=sys.executable))
        self.path.chmod(0o755)

    def answers(self, **status: str) -> None:
        version = "client.authentication.k8s.io/v1"
        body = {"apiVersion": version, "kind": "ExecCredential", "status": status}
        (self.folder / "answer").write_text(json.dumps(body))

    @property
    def runs(self) -> int:
        return int((self.folder / "runs").read_text())

    def user(self, **env: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(self.path),
            "interactiveMode": "Never",
        }
        if env:
            entry["env"] = [{"name": name, "value": value} for name, value in env.items()]
        return {"exec": entry}


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


async def test_a_plugin_that_tells_no_expiry_is_asked_again_only_after_a_401(
    tmp_path: Path, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_telemetry.cluster.config.REFRESH_SECONDS", 0.0)
    plugin.answers(token=f"COUNT-{MARK}")
    connection = await load(kubeconfig(tmp_path / "k", user=plugin.user()))
    for _ in range(3):
        assert await header(connection) == f"Bearer 1-{MARK}"
    assert plugin.runs == 1
    assert await connection.credentials.authorization(rejected=f"Bearer 1-{MARK}") == f"Bearer 2-{MARK}"
    # Who was refused with the old one at the same time gets the new one without another run.
    assert await connection.credentials.authorization(rejected=f"Bearer 1-{MARK}") == f"Bearer 2-{MARK}"
    assert plugin.runs == 2


async def test_a_plugin_is_asked_again_when_its_token_expires(
    tmp_path: Path, plugin: Plugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_telemetry.cluster.config.REFRESH_SECONDS", 0.0)
    plugin.answers(token=f"COUNT-{MARK}", expirationTimestamp="2001-01-01T00:00:00Z")
    connection = await load(kubeconfig(tmp_path / "k", user=plugin.user()))
    assert await header(connection) == f"Bearer 2-{MARK}"
    plugin.answers(token=f"COUNT-{MARK}", expirationTimestamp="2999-01-01T00:00:00Z")
    assert await header(connection) == f"Bearer 3-{MARK}"
    assert await header(connection) == f"Bearer 3-{MARK}"
    assert plugin.runs == 3


@pytest.mark.parametrize(
    ("answers", "env"),
    [
        (f"not JSON {MARK}", {}),
        (json.dumps({"kind": "ExecCredential", "token": TOKEN}), {}),
        (json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {}}), {}),
        ("{}", {"PLUGIN_EXIT": "3"}),
    ],
)
async def test_a_plugin_that_gives_nothing(tmp_path: Path, plugin: Plugin, answers: str, env: dict[str, str]) -> None:
    (tmp_path / "answer").write_text(answers)
    path = kubeconfig(tmp_path / "k", user=plugin.user(**env))
    with pytest.raises(ConfigError) as caught:
        await load(path)
    assert str(caught.value) == (
        f"kubeconfig {path} is not usable: the exec plugin of user 'one' gave no credentials: run it by hand"
    )


async def test_a_plugin_that_is_not_installed(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/plugin"}}
    with pytest.raises(ConfigError, match="the exec plugin of user 'one' gave no credentials: run it by hand"):
        await load(kubeconfig(tmp_path / "k", user=user))


async def test_a_connection_gets_a_fresh_token_of_a_plugin_and_goes_on(tmp_path: Path, plugin: Plugin) -> None:
    async def only_the_second(asked: Asked) -> web.StreamResponse:
        fresh = asked.headers.get("Authorization") == f"Bearer 2-{MARK}"
        return answer({"metadata": {}}) if fresh else refusal(401, "Unauthorized")

    plugin.answers(token=f"COUNT-{MARK}")
    async with serving(only_the_second) as server:
        connection = await load(kubeconfig(tmp_path / "k", server.url, user=plugin.user()))
        async with Client(connection) as client:
            await client.get(SECRETS, "shop", "x")
            await client.get(SECRETS, "shop", "x")
    assert plugin.runs == 2


async def test_each_login_of_kopf_brings_a_credential_that_was_not_yet_refused(tmp_path: Path, plugin: Plugin) -> None:
    plugin.answers(token=f"COUNT-{MARK}")
    connection = await load(kubeconfig(tmp_path / "k", user=plugin.user()))
    assert [(await connection.kopf()).token for _ in range(3)] == [f"1-{MARK}", f"2-{MARK}", f"3-{MARK}"]


class Authority:
    """A CA with a server that it has signed for, and a client."""

    def __init__(self, folder: Path) -> None:
        ca = trustme.CA()
        self.ca_path = folder / "ca.crt"
        ca.cert_pem.write_to_path(str(self.ca_path))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        ca.issue_cert("127.0.0.1", "api.example.com").configure_cert(self.server)
        ca.configure_trust(self.server)
        client = ca.issue_cert("client@example.com")
        self.cert = b"".join(item.bytes() for item in client.cert_chain_pems)
        self.key = client.private_key_pem.bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def named(asked: Asked) -> web.StreamResponse:
    return answer({"metadata": {"name": "x"}})


async def test_https_with_a_ca_from_a_file_or_inline(tmp_path: Path, authority: Authority) -> None:
    inline = base64.b64encode(authority.ca_path.read_bytes()).decode()
    forms: tuple[dict[str, Any], ...] = (
        {"certificate-authority": "ca.crt"},
        {"certificate-authority-data": inline},
        {"insecure-skip-tls-verify": True},
    )
    async with serving(named, authority.server) as server:
        for number, cluster in enumerate(forms):
            connection = await load(kubeconfig(tmp_path / str(number), server.url, cluster=cluster))
            async with Client(connection) as client:
                assert await client.get(SECRETS, "shop", "x") == {"metadata": {"name": "x"}}
            kopf = await connection.kopf()
            assert bool(kopf.insecure) is ("insecure-skip-tls-verify" in cluster)


async def test_a_server_that_the_ca_has_not_signed_for_is_not_talked_to(tmp_path: Path, authority: Authority) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Authority(other)
    async with serving(named, authority.server) as server:
        connection = await load(
            kubeconfig(tmp_path / "k", server.url, cluster={"certificate-authority": "other/ca.crt"})
        )
        async with Client(connection) as client:
            with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(SECRETS, "shop", "x")
    assert server.asked == []


async def test_a_client_certificate_is_shown(tmp_path: Path, authority: Authority) -> None:
    authority.server.verify_mode = ssl.CERT_REQUIRED
    user = {
        "client-certificate-data": base64.b64encode(authority.cert).decode(),
        "client-key-data": base64.b64encode(authority.key).decode(),
    }
    cluster = {"certificate-authority": "ca.crt"}
    async with serving(named, authority.server) as server:
        connection = await load(kubeconfig(tmp_path / "k", server.url, user=user, cluster=cluster))
        assert await header(connection) is None
        async with Client(connection) as client:
            await client.get(SECRETS, "shop", "x")
        without = await load(kubeconfig(tmp_path / "w", server.url, cluster=cluster))
        async with Client(without) as client:
            with pytest.raises(Unavailable):
                await client.get(SECRETS, "shop", "x")


async def test_another_server_name_works_for_us_and_is_refused_for_kopf(tmp_path: Path, authority: Authority) -> None:
    cluster = {"certificate-authority": "ca.crt", "tls-server-name": "api.example.com"}
    async with serving(named, authority.server) as server:
        connection = await load(kubeconfig(tmp_path / "k", server.url, cluster=cluster))
        async with Client(connection) as client:
            await client.get(SECRETS, "shop", "x")
        with pytest.raises(ConfigError, match=r"sets tls-server-name \(api\.example\.com\)"):
            await connection.kopf()
        wrong = await load(
            kubeconfig(tmp_path / "w", server.url, cluster=cluster | {"tls-server-name": "no.example.com"})
        )
        async with Client(wrong) as client:
            with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(SECRETS, "shop", "x")


async def test_a_proxy_is_used_and_not_shown(tmp_path: Path) -> None:
    async with serving(named) as proxy:
        cluster = {"proxy-url": proxy.url.replace("http://", f"http://me:{MARK}@")}
        connection = await load(kubeconfig(tmp_path / "k", "http://api.example.com", cluster=cluster))
        async with Client(connection) as client:
            await client.get(SECRETS, "shop", "x")
        assert proxy.asked[0].headers["Host"] == "api.example.com"
        assert MARK not in repr(connection)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not usable"),
        (f"[{MARK}", "it is not YAML"),
        (f"- {MARK}", "is not usable"),
        (f"{MARK}", "is not usable"),
        ("apiVersion: v1\nkind: Config\n", "is not usable"),
        ("current-context: gone\ncontexts: []\nclusters: []\nusers: []\n", "is not usable"),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
            f"clusters: [{{name: c, cluster: {{server: http://x}}}}]\nusers: [{{name: u, token: {MARK}}}]\n",
            "is not usable",
        ),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: gone, user: u}}]\n"
            f"clusters: []\nusers: [{{name: u, user: {{token: {MARK}}}}}]\n",
            "is not usable",
        ),
        (
            "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n"
            "clusters: [{name: c, cluster: {server: http://x}}]\n"
            f"users: [{{name: u, user: {{exec: {{token: {MARK}}}}}}}]\n",
            "gave no credentials",
        ),
    ],
)
async def test_files_that_are_no_kubeconfig_are_named_and_not_quoted(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "k"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        await load(str(path))
    assert str(caught.value).startswith(f"kubeconfig {path} is not usable: ")
    assert reason in str(caught.value)
    assert MARK not in str(caught.value)


async def test_missing_things_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match=rf"^kubeconfig {missing} is not usable: no such file$"):
        await load(str(missing))
    with pytest.raises(ConfigError, match="no such file"):
        await load()
    with pytest.raises(ConfigError, match="gone"):
        await load(kubeconfig(tmp_path / "k"), "gone")
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", cluster={"certificate-authority": "gone.crt"})
    with pytest.raises(ConfigError, match=r"gone\.crt"):
        await load(path)
    with pytest.raises(ConfigError, match="gone-token"):
        await load(kubeconfig(tmp_path / "k", user={"tokenFile": "gone-token"}))
    with pytest.raises(ConfigError, match="is not usable"):
        await load(str(tmp_path))


async def test_a_ca_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "bad.crt").write_text(f"no certificate {MARK}")
    path = kubeconfig(tmp_path / "k", "https://127.0.0.1:1", cluster={"certificate-authority": "bad.crt"})
    with pytest.raises(ConfigError, match="the CA or client certificate cannot be used") as caught:
        await load(path)
    assert str(path) in str(caught.value)
    assert MARK not in str(caught.value)


@pytest.fixture
def pod(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text(f"{TOKEN}\n")
    (folder / "namespace").write_text("ops\n")
    (folder / "ca.crt").write_bytes(authority.ca_path.read_bytes())
    monkeypatch.setattr(os, "environ", os.environ)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    return folder


async def test_a_pod_uses_its_service_account(pod: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(named, authority.server) as server:
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.url.rpartition(":")[2])
        connection = await load(service_account=pod)
        assert (connection.server, connection.default_namespace) == (server.url, "ops")
        async with Client(connection) as client:
            await client.get(SECRETS, "shop", "x")
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    kopf = await connection.kopf()
    assert (kopf.scheme, kopf.token, kopf.ca_path) == ("Bearer", TOKEN, str(pod / "ca.crt"))


async def test_a_pod_s_token_that_was_rotated_is_read_after_a_401(pod: Path) -> None:
    connection = await load(service_account=pod)
    (pod / "token").write_text(f"new-{MARK}")
    assert await header(connection) == f"Bearer {TOKEN}"
    assert await connection.credentials.authorization(rejected=f"Bearer {TOKEN}") == f"Bearer new-{MARK}"


async def test_an_ipv6_cluster(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    assert (await load(service_account=pod)).server == "https://[fd00::1]:443"


@pytest.mark.parametrize(
    ("name", "text"),
    [("token", None), ("token", ""), ("ca.crt", None), ("ca.crt", ""), ("ca.crt", "x"), ("namespace", None)],
)
async def test_a_service_account_that_is_incomplete(pod: Path, name: str, text: str | None) -> None:
    (pod / name).unlink()
    if text is not None:
        (pod / name).write_text(text)
    with pytest.raises(ConfigError, match=f"^service account in {pod}"):
        await load(service_account=pod)


async def test_a_pod_without_a_namespace_s_name_is_in_default(pod: Path) -> None:
    (pod / "namespace").write_text("\n")
    assert (await load(service_account=pod)).default_namespace == "default"
