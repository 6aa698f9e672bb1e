"""The proxy of the crash tests rewrites nothing, sees everything, and does what its hooks say."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import trustme
import yaml

from tests.support.apiproxy import Answer, ApiProxy, Call, Drop, Hold, Write
from tests.support.kube import ca_pem, context_of, wait

STATUS = "/apis/gatewaytelemetry.dev/v1alpha1/namespaces/shop/gatewaytelemetries/gw/status"


@dataclass
class Server:
    """A TLS server that asks for a client certificate, and remembers what it was sent."""

    kubeconfig: Path
    more: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, str, dict[str, str], bytes, str]] = field(default_factory=list)


def _handler(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = self.connection
            assert isinstance(connection, ssl.SSLSocket)
            who = "admin" if connection.getpeercert() else "nobody"
            server.seen.append((self.command, self.path, dict(self.headers), body, who))
            if "watch=true" in self.path:
                self._stream()
                return
            answer = b'{"kind":"Thing",  "spaces":"kept"}'
            self.send_response(201 if self.command == "POST" else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Warning", '299 - "look"')
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _stream(self) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"4\r\none\n\r\n")
            self.wfile.flush()
            server.more.wait(10)
            self.wfile.write(b"4\r\ntwo\n\r\n0\r\n\r\n")

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Tests read the list instead."""

    return Handler


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    authority = trustme.CA()
    client = authority.issue_cert("admin@example.com")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    found = Server(tmp_path / "kubeconfig")
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    http.socket = tls.wrap_socket(http.socket, server_side=True)
    user = {
        "client-certificate-data": base64.b64encode(client.cert_chain_pems[0].bytes()).decode(),
        "client-key-data": base64.b64encode(client.private_key_pem.bytes()).decode(),
    }
    entry = {
        "server": f"https://127.0.0.1:{http.server_address[1]}",
        "certificate-authority-data": base64.b64encode(authority.cert_pem.bytes()).decode(),
    }
    config = {
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": entry}],
        "users": [{"name": "it", "user": user}],
    }
    found.kubeconfig.write_text(yaml.safe_dump(config))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield found
    found.more.set()
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def proxy(server: Server, tmp_path: Path) -> Iterator[ApiProxy]:
    with ApiProxy(server, tmp_path) as running:
        yield running


@pytest.fixture
def client(proxy: ApiProxy) -> Iterator[httpx.Client]:
    """A client that knows no more than the proxy's kubeconfig."""
    _, cluster, _ = context_of(proxy.kubeconfig)
    tls = ssl.create_default_context(cadata=ca_pem(cluster))
    with httpx.Client(base_url=cluster["server"], verify=tls, trust_env=False, timeout=10) as found:
        yield found


def test_nothing_is_rewritten(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    url = f"{STATUS}?fieldManager=gateway-telemetry&labelSelector=a%20in%20%28b%2Cc%29"
    answer = client.patch(url, content=b'{"a":  1}', headers={"Content-Type": "application/merge-patch+json"})

    assert answer.content == b'{"kind":"Thing",  "spaces":"kept"}'
    assert answer.headers["Warning"] == '299 - "look"'
    method, path, headers, body, who = server.seen[0]
    assert (method, path, body, who) == ("PATCH", url, b'{"a":  1}', "admin")
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert headers["User-Agent"].startswith("python-httpx/")
    assert proxy.writes == [
        Write(
            1,
            "patch",
            "gatewaytelemetries",
            "shop",
            "gw",
            "status",
            "gateway-telemetry",
            "application/merge-patch+json",
            b'{"a":  1}',
            200,
        )
    ]
    assert proxy.writes[0].what == "patch gatewaytelemetries/status"


def test_a_token_is_passed_on_and_the_certificate_is_not_lent(client: httpx.Client, server: Server) -> None:
    client.get("/api/v1/secrets", headers={"Authorization": "Bearer abc"})
    assert server.seen[0][2]["Authorization"] == "Bearer abc"
    assert server.seen[0][4] == "nobody"


def test_reads_are_no_writes(proxy: ApiProxy, client: httpx.Client) -> None:
    assert client.get("/api/v1/namespaces/shop/secrets").status_code == 200
    assert proxy.writes == []


@pytest.mark.parametrize(
    ("method", "path", "content_type", "expected"),
    [
        ("POST", "/api/v1/namespaces/shop/secrets", "application/json", "create secrets shop/new"),
        ("DELETE", "/api/v1/namespaces/shop/secrets/new", "application/json", "delete secrets shop/new"),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/shop/deployments/gw",
            "application/apply-patch+yaml",
            "apply deployments shop/gw",
        ),
        ("PUT", "/api/v1/namespaces/shop/finalize", "application/json", "update namespaces/finalize /shop"),
        ("PATCH", "/api/v1/namespaces/shop", "application/json-patch+json", "patch namespaces /shop"),
    ],
)
def test_writes_are_named(
    proxy: ApiProxy, client: httpx.Client, method: str, path: str, content_type: str, expected: str
) -> None:
    body = json.dumps({"metadata": {"name": "new"}}).encode()
    client.request(method, path, content=body, headers={"Content-Type": content_type})
    write = proxy.writes[0]
    assert f"{write.what} {write.namespace}/{write.name}" == expected


def test_a_watch_arrives_while_it_lasts(client: httpx.Client, server: Server) -> None:
    with client.stream("GET", "/api/v1/secrets?watch=true") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "one"
        server.more.set()
        assert next(lines) == "two"


def test_a_watch_can_be_late(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    with client.stream("GET", "/api/v1/secrets?watch=true") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "one"
        proxy.watching.clear()
        server.more.set()
        late = threading.Timer(0.3, proxy.watching.set)
        began = time.monotonic()
        late.start()
        assert next(lines) == "two"
        assert time.monotonic() - began >= 0.3
        late.join()


def test_an_answer_instead_of_the_servers(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    proxy.before = lambda _: Answer(429, "TooManyRequests", "slow down", {"Retry-After": "1"})
    answer = client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert answer.json()["reason"] == "TooManyRequests"
    assert server.seen == []
    assert (proxy.writes[0].status, proxy.writes[0].by_proxy) == (429, True)

    proxy.before, proxy.after = lambda _: None, lambda _: Answer(500, "InternalError")
    assert client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}").status_code == 500
    assert len(server.seen) == 1, "after the write the server has done it"


def test_something_is_done_between_two_writes(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    order: list[str] = []
    proxy.before = lambda write: Call(lambda: order.append(f"before {write.number}, {len(server.seen)} arrived"))
    proxy.after = lambda write: Call(lambda: order.append(f"after {write.number}, {len(server.seen)} arrived"))
    client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}")
    client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}")
    assert order == [
        "before 1, 0 arrived",
        "after 1, 1 arrived",
        "before 2, 1 arrived",
        "after 2, 2 arrived",
    ]


def test_a_write_waits_for_an_event(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    go = threading.Event()
    proxy.before = lambda _: Hold(go)
    answers: list[int] = []
    thread = threading.Thread(
        target=lambda: answers.append(client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}").status_code)
    )
    thread.start()
    wait("the proxy has it", lambda: proxy.writes)
    # Reads go on meanwhile.
    assert client.get("/api/v1/secrets").status_code == 200
    assert [item[0] for item in server.seen] == ["GET"]
    go.set()
    thread.join()
    assert answers == [200]


def test_a_dropped_write_has_no_answer(proxy: ApiProxy, client: httpx.Client, server: Server) -> None:
    called: list[float] = []
    proxy.before = lambda _: Drop(lambda: called.append(time.monotonic()))
    with pytest.raises(httpx.TransportError):
        client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}")
    assert len(called) == 1
    assert server.seen == []

    proxy.before, proxy.after = lambda _: None, lambda _: Drop(lambda: called.append(time.monotonic()))
    with pytest.raises(httpx.TransportError):
        client.put("/api/v1/namespaces/shop/secrets/a", content=b"{}")
    assert len(called) == 2
    assert [item[0] for item in server.seen] == ["PUT"]


def test_a_broken_hook_is_told(server: Server, tmp_path: Path) -> None:
    def broken() -> None:
        raise ValueError("broken hook")

    def use() -> None:
        with ApiProxy(server, tmp_path / "other") as proxy:
            proxy.before = lambda _: Call(broken)
            _, cluster, _ = context_of(proxy.kubeconfig)
            tls = ssl.create_default_context(cadata=ca_pem(cluster))
            answer = httpx.put(f"{cluster['server']}/api/v1/namespaces/a", content=b"{}", verify=tls, trust_env=False)
            assert answer.status_code == 500

    with pytest.raises(ValueError, match="broken hook"):
        use()
