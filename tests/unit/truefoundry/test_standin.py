"""The stand-in takes what TrueFoundry's own SDK sends, gives what it reads, and is stricter than its types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from truefoundry_sdk import TrueFoundry
from truefoundry_sdk.core.api_error import ApiError
from truefoundry_sdk.types.gateway_otel_config import GatewayOtelConfig

from tests.support.langsmith import CertificateAuthority
from tests.support.truefoundry import APPLY, KEY, MASK, TENANT, ControlPlane

MANIFEST: dict[str, Any] = {
    "type": "gateway-otel-config",
    "otel_traces_exporter_config": {
        "type": "http",
        "endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces",
        "encoding": "proto",
        "headers": {"x-api-key": "lsv2_sk_test"},
        "additional_resource_attributes": {"team": "payments"},
        "exclude_request_data": True,
        "when": [{"field": "spanAttributes", "key": "a", "operator": "IN", "value": ["b"]}],
    },
}


@pytest.fixture
def sdk(control_plane: ControlPlane, ca: CertificateAuthority) -> Iterator[TrueFoundry]:
    with httpx.Client(verify=ca.client_context(), trust_env=False) as client:
        yield TrueFoundry(base_url=control_plane.url, api_key=KEY, httpx_client=client)


def test_the_sdk_applies_reads_and_deletes(control_plane: ControlPlane, sdk: TrueFoundry) -> None:
    done = sdk.apply(manifest=GatewayOtelConfig.model_validate(MANIFEST))
    assert done.action is not None
    assert done.action.value == "CREATE"
    assert control_plane.objects == {TENANT: MANIFEST}
    found = sdk.internal.ai_gateway.get_gateway_config("gateway-otel-config")
    assert found.tenant_name == TENANT
    assert found.manifest.model_dump(exclude_none=True) == MANIFEST
    sdk.delete(manifest=GatewayOtelConfig())
    assert control_plane.objects == {}


def test_a_dry_run_changes_nothing(control_plane: ControlPlane, sdk: TrueFoundry) -> None:
    sdk.apply(manifest=GatewayOtelConfig.model_validate(MANIFEST), dry_run=True)
    assert control_plane.objects == {}
    assert control_plane.writes() == []


def test_an_unknown_key_and_a_missing_object_are_errors_to_the_sdk(
    control_plane: ControlPlane, sdk: TrueFoundry
) -> None:
    with pytest.raises(ApiError) as caught:
        sdk.internal.ai_gateway.get_gateway_config("gateway-otel-config")
    assert caught.value.status_code == 404
    control_plane.keys.clear()
    with pytest.raises(ApiError) as caught:
        sdk.apply(manifest=GatewayOtelConfig.model_validate(MANIFEST))
    assert caught.value.status_code == 401


def test_masks_hide_the_values_of_all_headers(control_plane: ControlPlane, sdk: TrueFoundry) -> None:
    control_plane.objects[TENANT] = MANIFEST
    control_plane.masks = True
    found = sdk.internal.ai_gateway.get_gateway_config("gateway-otel-config").manifest.model_dump()
    assert found["otel_traces_exporter_config"]["headers"] == {"x-api-key": MASK}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoding": "Proto"}, "manifest.otel_traces_exporter_config.encoding has no such value"),
        ({"timeout": 3}, "manifest.otel_traces_exporter_config.timeout is not a field"),
        ({"headers": {"a": 1}}, "otel_traces_exporter_config"),
        ({"endpoint": None}, "otel_traces_exporter_config"),
        ({"when": [{"key": "a", "value": "b"}]}, "otel_traces_exporter_config"),
        (
            {"when": [{"key": "a", "value": ["b"], "not": True}]},
            "manifest.otel_traces_exporter_config.when[0].not is not a field",
        ),
    ],
)
def test_it_refuses_what_the_types_let_pass(control_plane: ControlPlane, change: dict[str, Any], message: str) -> None:
    exporter = {**MANIFEST["otel_traces_exporter_config"], **change}
    said = control_plane.answer("PUT", APPLY, KEY, {"manifest": {**MANIFEST, "otel_traces_exporter_config": exporter}})
    assert said.status == 422
    assert message in said.body.decode()
    assert control_plane.objects == {}


def test_it_says_which_body_is_none_of_its_own(control_plane: ControlPlane, tmp_path: Path) -> None:
    assert control_plane.answer("PUT", APPLY, KEY, {"manifest": MANIFEST, "x": 1}).status == 422
    assert control_plane.answer("PUT", APPLY, KEY, {"manifest": {"type": "workspace"}}).status == 422
    assert control_plane.answer("PUT", "/api/svc/v2/apply", KEY, {"manifest": MANIFEST}).status == 404
