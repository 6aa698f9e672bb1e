"""The client against a real server: pages, refusals, silence, proxies, and what every write carries."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from gateway_telemetry.cluster.client import PAGE, Client
from gateway_telemetry.cluster.config import Credentials
from gateway_telemetry.cluster.errors import (
    ApiError,
    ConfigError,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    NotFound,
    NotLeading,
    ReadOnly,
    Unauthorized,
    Unavailable,
)
from gateway_telemetry.cluster.paths import DEPLOYMENTS, GATEWAY_TELEMETRIES, LEASES, NAMESPACES, SECRETS
from tests.unit.cluster.server import Asked, Object, answer, connection, refusal, serving

MARK = "marked4711"
"""Part of every token and value in these tests, so that one search finds a leak."""


async def ok(asked: Asked) -> web.StreamResponse:
    return answer({"kind": "Any", "metadata": {"name": "x", "resourceVersion": "1"}})


def pages(*names: str, size: int = 2) -> Callable[[Asked], Awaitable[web.StreamResponse]]:
    """Serve a list in pages; the token is the index of the next object."""

    async def handle(asked: Asked) -> web.StreamResponse:
        begin = int(asked.query.get("continue") or 0)
        end = begin + size if "limit" in asked.query else len(names)
        metadata: Object = {"resourceVersion": "77"}
        if end < len(names):
            metadata["continue"] = str(end)
        return answer({"metadata": metadata, "items": [{"metadata": {"name": name}} for name in names[begin:end]]})

    return handle


async def test_a_list_is_read_page_by_page_and_its_items_get_their_kind() -> None:
    async with serving(pages(*"abcde")) as server, Client(connection(server.url)) as client:
        listing = await client.list(DEPLOYMENTS, "shop", "app in (a, b)")
    assert [item["metadata"]["name"] for item in listing.items] == list("abcde")
    assert {(item["apiVersion"], item["kind"]) for item in listing.items} == {("apps/v1", "Deployment")}
    assert listing.resource_version == "77"
    assert [asked.query for asked in server.asked] == [
        {"labelSelector": "app in (a, b)", "limit": str(PAGE)},
        {"labelSelector": "app in (a, b)", "limit": str(PAGE), "continue": "2"},
        {"labelSelector": "app in (a, b)", "limit": str(PAGE), "continue": "4"},
    ]
    assert {asked.path for asked in server.asked} == {"/apis/apps/v1/namespaces/shop/deployments"}


async def test_an_empty_list_has_items_of_null_from_some_servers() -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        return answer({"metadata": {"resourceVersion": "5"}, "items": None})

    async with serving(handle) as server, Client(connection(server.url)) as client:
        listing = await client.list(NAMESPACES)
    assert (listing.items, listing.resource_version) == ([], "5")


async def test_a_token_that_expires_between_pages_starts_the_list_again() -> None:
    whole = pages(*"abcde")
    expired = 0

    async def handle(asked: Asked) -> web.StreamResponse:
        nonlocal expired
        if "continue" in asked.query and not expired:
            expired += 1
            return refusal(410, "Expired", "The provided continue parameter is too old")
        return await whole(asked)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        listing = await client.list(DEPLOYMENTS)
    # Nothing twice, nothing missing.
    assert [item["metadata"]["name"] for item in listing.items] == list("abcde")
    assert [asked.query.get("continue") for asked in server.asked] == [None, "2", None, "2", "4"]


async def test_a_token_that_always_expires_leads_to_one_list_without_pages() -> None:
    whole = pages(*"abcde")

    async def handle(asked: Asked) -> web.StreamResponse:
        return refusal(410, "Expired") if "continue" in asked.query else await whole(asked)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        listing = await client.list(DEPLOYMENTS)
    assert [item["metadata"]["name"] for item in listing.items] == list("abcde")
    assert "limit" not in server.asked[-1].query
    assert len(server.asked) == 7


async def test_410_for_the_whole_list_is_told() -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        return refusal(410, "Gone")

    async with serving(handle) as server, Client(connection(server.url)) as client:
        with pytest.raises(Expired):
            await client.list(DEPLOYMENTS)
        assert len(server.asked) == 4


def valid(token: str) -> Callable[[Asked], Awaitable[web.StreamResponse]]:
    """Serve only those who have a token."""

    async def handle(asked: Asked) -> web.StreamResponse:
        if asked.headers.get("Authorization") != f"Bearer {token}":
            return refusal(401, "Unauthorized", "Unauthorized")
        return await ok(asked)

    return handle


async def test_after_a_401_the_credentials_are_read_anew_once() -> None:
    async with (
        serving(valid("fresh")) as server,
        Client(connection(server.url, "stale", "fresh")) as client,
    ):
        await client.get(DEPLOYMENTS, "shop", "x")
        await client.get(DEPLOYMENTS, "shop", "x")
    assert [asked.headers["Authorization"] for asked in server.asked] == [
        "Bearer stale",
        "Bearer fresh",
        "Bearer fresh",
    ]


async def test_a_write_that_was_refused_with_401_is_sent_again_whole_and_counts_once() -> None:
    async with (
        serving(valid("fresh")) as server,
        Client(connection(server.url, "stale", "fresh")) as client,
    ):
        await client.create(SECRETS, "shop", {"data": {"a": "b"}})
        assert client.writes == 1
    assert [asked.body for asked in server.asked] == [{"data": {"a": "b"}}] * 2


async def test_two_401_in_a_row_are_an_error_and_no_endless_loop() -> None:
    async with (
        serving(valid("right")) as server,
        Client(connection(server.url, f"one-{MARK}", f"two-{MARK}", "three")) as client,
    ):
        with pytest.raises(Unauthorized) as caught:
            await client.get(DEPLOYMENTS, "shop", "x")
    assert len(server.asked) == 2
    assert MARK not in str(caught.value)
    assert str(caught.value) == "GET deployments.apps shop/x: 401 Unauthorized: Unauthorized"


async def test_without_a_token_a_401_is_final() -> None:
    async with serving(valid("right")) as server, Client(connection(server.url)) as client:
        with pytest.raises(Unauthorized):
            await client.get(DEPLOYMENTS, "shop", "x")
    assert len(server.asked) == 1
    assert "Authorization" not in server.asked[0].headers


async def test_many_requests_that_are_refused_together_load_the_credentials_once() -> None:
    loads = 0
    first = Configuration()
    first.api_key["BearerToken"] = "Bearer stale"

    async def load() -> Configuration:
        nonlocal loads
        loads += 1
        await asyncio.sleep(0.01)
        configuration = Configuration()
        configuration.api_key["BearerToken"] = "Bearer fresh"
        return configuration

    async with serving(valid("fresh")) as server:
        there = connection(server.url)
        object.__setattr__(there, "credentials", Credentials(load, first))
        async with Client(there) as client:
            await asyncio.gather(*(client.get(DEPLOYMENTS, "shop", "x") for _ in range(10)))
    assert loads == 1


async def test_credentials_that_cannot_be_read_now_are_no_answer_and_not_the_end() -> None:
    """A token file that is just being replaced, a plugin without its network: everything goes on with the next try."""
    broken = True
    first = Configuration()
    first.api_key["BearerToken"] = "Bearer stale"

    async def load() -> Configuration:
        if broken:
            raise ConfigError("kubeconfig k is not usable: the exec plugin gave nothing")
        configuration = Configuration()
        configuration.api_key["BearerToken"] = "Bearer fresh"
        return configuration

    async with serving(valid("fresh")) as server:
        there = connection(server.url)
        object.__setattr__(there, "credentials", Credentials(load, first))
        async with Client(there) as client:
            with pytest.raises(Unavailable) as caught:
                await client.get(DEPLOYMENTS, "shop", "x")
            assert str(caught.value) == (
                "GET deployments.apps shop/x: no answer NoCredentials: "
                "kubeconfig k is not usable: the exec plugin gave nothing"
            )
            broken = False
            await client.get(DEPLOYMENTS, "shop", "x")


@pytest.mark.parametrize("error", [ValueError(MARK), OSError(5, "Input/output error"), KeyError(MARK)])
async def test_a_refresh_that_fails_quotes_nothing_that_it_read(error: Exception) -> None:
    first = Configuration()
    first.api_key["BearerToken"] = f"Bearer {MARK}"

    def refresh(_: Configuration) -> None:
        raise error

    first.refresh_api_key_hook = refresh  # type: ignore[assignment]

    async def load() -> Configuration:
        return first

    async with serving(ok) as server:
        there = connection(server.url)
        object.__setattr__(there, "credentials", Credentials(load, first))
        async with Client(there) as client:
            with pytest.raises(Unavailable) as caught:
                await client.get(DEPLOYMENTS, "shop", "x")
    assert MARK not in str(caught.value)
    assert server.asked == []


async def test_silence_ends_after_the_given_time() -> None:
    async def silent(asked: Asked) -> web.StreamResponse:
        await asyncio.sleep(10)
        return await ok(asked)

    async with serving(silent) as server, Client(connection(server.url), request_seconds=0.1) as client:
        async with asyncio.timeout(5):
            with pytest.raises(Unavailable) as caught:
                await client.get(DEPLOYMENTS, "shop", "x")
    assert (caught.value.status, caught.value.reason) == (0, "Timeout")
    assert str(caught.value).startswith("GET deployments.apps shop/x: no answer Timeout: ")


async def test_an_answer_that_never_ends_is_silence_too() -> None:
    async def endless(asked: Asked) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 1000
        return response

    async with serving(endless) as server, Client(connection(server.url), request_seconds=0.2) as client:
        with pytest.raises(Unavailable):
            await client.get(DEPLOYMENTS, "shop", "x")


async def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with Client(connection(f"http://127.0.0.1:{taken.getsockname()[1]}")) as client:
            with pytest.raises(Unavailable) as caught:
                await client.get(DEPLOYMENTS, "shop", "x")
    assert caught.value.reason == "ClientConnectorError"


async def test_a_connection_that_is_cut_off() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()[:2]
        async with Client(connection(f"http://{host}:{port}")) as client:
            with pytest.raises(Unavailable):
                await client.create(DEPLOYMENTS, "shop", {})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "<html>Sign in</html>", ApiError),
        (200, "[]", ApiError),
        (302, "", ApiError),
        (403, "<html>blocked by policy</html>", Forbidden),
        (404, "404 page not found", NotFound),
        (429, "slow down", Unavailable),
        (502, "<html>Bad Gateway</html>", Unavailable),
        (503, '{"error": "no upstream"}', Unavailable),
        (503, '{"kind": "Status", "message": null, "reason": null, "details": null}', Unavailable),
    ],
)
async def test_answers_of_proxies_become_errors_that_say_so(status: int, body: str, kind: type[ApiError]) -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        headers = {"Location": "/elsewhere"} if status == 302 else {}
        return web.Response(status=status, text=body, headers=headers)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        with pytest.raises(ApiError) as caught:
            await client.get(DEPLOYMENTS, "shop", "x")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert "is a proxy in between?" in str(caught.value)
    assert "<html>" not in str(caught.value)
    assert len(server.asked) == 1


@pytest.mark.parametrize("body", ['{"items": []}', "{}", '{"metadata": null}', '{"metadata": {}, "items": {}}'])
async def test_a_list_that_is_none_is_an_error_and_not_an_empty_cluster(body: str) -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        return web.Response(text=body)

    async with serving(handle) as server, Client(connection(server.url)) as client:
        with pytest.raises(ApiError, match="is a proxy in between"):
            await client.list(DEPLOYMENTS)


async def test_bytes_that_are_no_text_are_no_answer_of_an_api_server() -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        return web.Response(body=b"\xff\xfe\x00")

    async with serving(handle) as server, Client(connection(server.url)) as client:
        with pytest.raises(ApiError, match="is a proxy in between"):
            await client.get(DEPLOYMENTS, "shop", "x")


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (401, "Unauthorized", Unauthorized),
        (403, "Forbidden", Forbidden),
        (404, "NotFound", NotFound),
        (409, "AlreadyExists", Conflict),
        (410, "Expired", Expired),
        (422, "Invalid", Invalid),
        (429, "TooManyRequests", Unavailable),
        (500, "InternalError", Unavailable),
        (504, "Timeout", Unavailable),
        (400, "BadRequest", ApiError),
        (405, "MethodNotAllowed", ApiError),
    ],
)
async def test_each_refusal_has_its_error(status: int, reason: str, kind: type[ApiError]) -> None:
    async def handle(asked: Asked) -> web.StreamResponse:
        return refusal(status, reason, "why")

    async with serving(handle) as server, Client(connection(server.url)) as client:
        with pytest.raises(ApiError) as caught:
            await client.apply(DEPLOYMENTS, "shop", "x", {})
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason, caught.value.message) == (status, reason, "why")
    # There are no hidden retries: the queue tries again.
    assert len(server.asked) == 1


async def test_find_turns_not_found_into_none_and_nothing_else() -> None:
    code = 404

    async def handle(asked: Asked) -> web.StreamResponse:
        return refusal(code, "NotFound")

    async with serving(handle) as server, Client(connection(server.url)) as client:
        assert await client.find(SECRETS, "shop", "x") is None
        code = 403
        with pytest.raises(Forbidden):
            await client.find(SECRETS, "shop", "x")


async def write_all(client: Client) -> None:
    await client.create(SECRETS, "shop", {"a": 1})
    await client.replace(SECRETS, "shop", "x", {"a": 2})
    await client.apply(DEPLOYMENTS, "shop", "x", {"a": 3})
    await client.apply(SECRETS, "shop", "x", {"a": 4}, force=True)
    await client.json_patch(DEPLOYMENTS, "shop", "x", [{"op": "remove", "path": "/a"}])
    await client.merge_patch(GATEWAY_TELEMETRIES, "shop", "x", {"a": 5}, subresource="status")
    await client.delete(SECRETS, "shop", "x")


async def test_every_write_names_our_field_manager_and_its_content_type() -> None:
    async with serving(ok) as server, Client(connection(server.url)) as client:
        await write_all(client)
        assert client.writes == 7
        await client.get(SECRETS, "shop", "x")
        await client.list(SECRETS, "shop")
        assert client.writes == 7
    manager = {"fieldManager": "gateway-telemetry"}
    secrets, core = "/api/v1/namespaces/shop/secrets", "application/json"
    deployment = "/apis/apps/v1/namespaces/shop/deployments/x"
    status = "/apis/gatewaytelemetry.dev/v1alpha1/namespaces/shop/gatewaytelemetries/x/status"
    apply = "application/apply-patch+yaml"
    patch: Any = [{"op": "remove", "path": "/a"}]
    assert [
        (item.method, item.path, item.query, item.headers.get("Content-Type"), item.body) for item in server.asked[:7]
    ] == [
        ("POST", secrets, manager, core, {"a": 1}),
        ("PUT", f"{secrets}/x", manager, core, {"a": 2}),
        ("PATCH", deployment, manager, apply, {"a": 3}),
        ("PATCH", f"{secrets}/x", manager | {"force": "true"}, apply, {"a": 4}),
        ("PATCH", deployment, manager, "application/json-patch+json", patch),
        ("PATCH", status, manager, "application/merge-patch+json", {"a": 5}),
        ("DELETE", f"{secrets}/x", {}, core, {}),
    ]
    assert {item.headers["Accept"] for item in server.asked} == {"application/json"}
    assert server.asked[0].headers["User-Agent"].startswith("gateway-telemetry-operator/")


async def test_the_guard_is_asked_before_every_write_and_no_read() -> None:
    allowed = [True, True, False]
    async with serving(ok) as server, Client(connection(server.url)) as client:
        client.guard = lambda: allowed.pop(0) if allowed else False
        await client.create(SECRETS, "shop", {})
        await client.replace(SECRETS, "shop", "x", {})
        for write in (
            client.create(SECRETS, "shop", {}),
            client.replace(SECRETS, "shop", "x", {}),
            client.apply(SECRETS, "shop", "x", {}),
            client.json_patch(SECRETS, "shop", "x", []),
            client.merge_patch(SECRETS, "shop", "x", {}),
            client.delete(SECRETS, "shop", "x"),
        ):
            with pytest.raises(NotLeading):
                await write
        await client.get(SECRETS, "shop", "x")
        await client.list(SECRETS)
        assert client.writes == 2
    assert [item.method for item in server.asked] == ["POST", "PUT", "GET", "GET"]


async def test_read_only_nothing_is_sent_but_status_and_leases() -> None:
    async with serving(ok) as server, Client(connection(server.url)) as client:
        client.read_only = True
        for write in (
            client.create(SECRETS, "shop", {}),
            client.apply(DEPLOYMENTS, "shop", "x", {}),
            client.merge_patch(DEPLOYMENTS, "shop", "x", {}, subresource="scale"),
            client.delete(SECRETS, "shop", "x"),
        ):
            with pytest.raises(ReadOnly):
                await write
        await client.merge_patch(GATEWAY_TELEMETRIES, "shop", "x", {}, subresource="status")
        await client.replace(LEASES, "shop", "x", {})
        assert client.writes == 2
    assert [item.method for item in server.asked] == ["PATCH", "PUT"]


async def test_delete_tells_whether_it_was_there() -> None:
    code = 404

    async def handle(asked: Asked) -> web.StreamResponse:
        return refusal(code, "Any")

    async with serving(handle) as server, Client(connection(server.url)) as client:
        assert await client.delete(SECRETS, "shop", "x") is False
        code = 409
        # Another object bears the name by now.
        assert await client.delete(SECRETS, "shop", "x", uid="u1") is False
        assert server.asked[-1].body == {"preconditions": {"uid": "u1"}}
        with pytest.raises(Conflict):
            await client.delete(SECRETS, "shop", "x")


async def test_proxy_variables_of_the_environment_are_not_for_the_api_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    async with serving(ok) as server, Client(connection(server.url)) as client:
        await client.get(DEPLOYMENTS, "shop", "x")
    assert len(server.asked) == 1


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_password_of_a_proxy_is_in_no_message(scheme: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        there = connection(f"{scheme}://api.example.com:6443", proxy_url=f"http://user:{MARK}@127.0.0.1:{port}")
        async with Client(there) as client:
            with pytest.raises(ApiError) as caught:
                await client.get(DEPLOYMENTS, "shop", "x")
    assert MARK not in str(caught.value)
    assert MARK not in repr(there)
    assert "407" in str(caught.value)


async def test_a_proxy_url_that_is_none_is_not_quoted() -> None:
    there = connection("https://api.example.com:6443", proxy_url=f"http://user:{MARK}@proxy.example.com:port")
    async with Client(there) as client:
        with pytest.raises(Unavailable, match="proxy-url is not a URL") as caught:
            await client.get(DEPLOYMENTS, "shop", "x")
    assert MARK not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_would_change_the_path_is_never_sent(name: str) -> None:
    async with serving(ok) as server, Client(connection(server.url)) as client:
        with pytest.raises(ValueError, match="cannot be part of an API path"):
            await client.delete(SECRETS, "shop", name)
    assert server.asked == []


async def test_the_client_must_be_opened_first() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client(connection("http://127.0.0.1:9")).get(SECRETS, "shop", "x")
