"""Which address answers what: the API, the single-page application, and nothing."""

from __future__ import annotations

import httpx
import pytest

from tests.support.langsmith import StandIn
from tests.unit.langsmith_standin.clients import KEY, span_body
from tests.unit.langsmith_standin.conftest import KEYS

SPA = (200, "text/html")
NGINX_404, NGINX_405 = (404, "text/html"), (405, "text/html")
API_404, API_405 = (404, "application/json"), (405, "application/json")
OK = (200, "application/json")

SELF_HOSTED = [
    ("POST", "/api/v1/otel/v1/traces", OK),
    ("GET", "/api/v1/otel/v1/traces", API_405),
    ("POST", "/api/v1/otel/v1/traces/v1/traces", API_404),
    ("POST", "/api/v1/otel", API_404),
    ("POST", "/api/v1/v1/traces", API_404),
    ("POST", "/api/otel/v1/traces", API_404),
    ("POST", "/otel/v1/traces", NGINX_405),
    ("POST", "/v1/traces", NGINX_405),
    ("POST", "/", NGINX_405),
    ("GET", "/", SPA),
    ("GET", "/otel/v1/traces", SPA),
    ("GET", "/info", SPA),
    ("GET", "/sessions", SPA),
    ("GET", "/api/v1/info", OK),
    ("POST", "/api/v1/info", API_405),
    ("GET", "/api/v1/ok", OK),
    ("GET", "/api/v1/sessions", OK),
    ("GET", "/api/sessions", OK),
    ("GET", "/api/v1/nothing", API_404),
    ("GET", "/health", OK),
]
BELOW_BASE_PATH = [
    ("POST", "/langsmith/dev/api/v1/otel/v1/traces", OK),
    ("GET", "/langsmith/dev/api/v1/info", OK),
    ("GET", "/langsmith/dev", SPA),
    ("GET", "/langsmith/dev/projects", SPA),
    ("POST", "/langsmith/dev/otel/v1/traces", NGINX_405),
    ("POST", "/langsmith/dev/api/v1/otel/v1/traces/v1/traces", API_404),
    ("POST", "/api/v1/otel/v1/traces", NGINX_404),
    ("GET", "/api/v1/info", NGINX_404),
    ("GET", "/", NGINX_404),
    ("GET", "/langsmith/development", NGINX_404),
    ("POST", "/langsmith/api/v1/otel/v1/traces", NGINX_404),
]
SAAS = [
    ("POST", "/otel/v1/traces", OK),
    ("POST", "/otel/v1/traces/v1/traces", API_404),
    ("POST", "/api/v1/otel/v1/traces", API_404),
    ("GET", "/info", OK),
    ("GET", "/api/v1/info", OK),
    ("GET", "/sessions", OK),
    ("GET", "/api/v1/sessions", OK),
    ("GET", "/", API_404),
]
UI_HOST = [
    ("GET", "/", SPA),
    ("GET", "/otel/v1/traces", SPA),
    ("GET", "/info", SPA),
    ("POST", "/otel/v1/traces", NGINX_405),
    ("POST", "/runs/query", NGINX_405),
]


def answer(langsmith: StandIn, method: str, path: str) -> tuple[int, str]:
    headers = {"x-api-key": KEY}
    with httpx.Client(base_url=f"http://127.0.0.1:{langsmith.port}", headers=headers, trust_env=False) as client:
        got = client.request(method, path, json=span_body() if method == "POST" else None)
    return got.status_code, got.headers["content-type"].partition(";")[0]


@pytest.mark.parametrize(("method", "path", "expected"), SELF_HOSTED)
def test_self_hosted(langsmith: StandIn, method: str, path: str, expected: tuple[int, str]) -> None:
    assert answer(langsmith, method, path) == expected


@pytest.mark.parametrize(("method", "path", "expected"), BELOW_BASE_PATH)
def test_self_hosted_below_a_base_path(method: str, path: str, expected: tuple[int, str]) -> None:
    with StandIn("/langsmith/dev/", keys=KEYS) as langsmith:
        assert answer(langsmith, method, path) == expected


@pytest.mark.parametrize(("method", "path", "expected"), SAAS)
def test_saas_api_host(method: str, path: str, expected: tuple[int, str]) -> None:
    with StandIn(form="saas", keys=KEYS) as langsmith:
        assert answer(langsmith, method, path) == expected


@pytest.mark.parametrize(("method", "path", "expected"), UI_HOST)
def test_saas_ui_host(method: str, path: str, expected: tuple[int, str]) -> None:
    with StandIn(form="ui", keys=KEYS) as langsmith:
        assert answer(langsmith, method, path) == expected


@pytest.mark.parametrize(
    ("base_path", "form", "api", "traces"),
    [
        ("", "selfhosted", "/api/v1", "/api/v1/otel/v1/traces"),
        ("langsmith/dev", "selfhosted", "/langsmith/dev/api/v1", "/langsmith/dev/api/v1/otel/v1/traces"),
        ("", "saas", "", "/otel/v1/traces"),
    ],
)
def test_addresses(base_path: str, form: str, api: str, traces: str) -> None:
    with StandIn(base_path, "saas" if form == "saas" else "selfhosted") as langsmith:
        root = f"http://127.0.0.1:{langsmith.port}"
        assert langsmith.api_url == root + api
        assert langsmith.traces_url == root + traces
        assert langsmith.otlp_url + "/v1/traces" == langsmith.traces_url


def test_a_method_not_allowed_page_is_nginxs(langsmith: StandIn) -> None:
    with httpx.Client(trust_env=False) as client:
        got = client.post(f"{langsmith.url}/otel/v1/traces")
    assert "<h1>405 Not Allowed</h1>" in got.text
    assert "<center>nginx</center>" in got.text
