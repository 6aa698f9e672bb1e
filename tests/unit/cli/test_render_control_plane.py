"""``render`` shows what TrueFoundry's control plane would be sent, without the key."""

from __future__ import annotations

import hashlib

import yaml

from tests.unit.cli.run import EXAMPLES, NOW, Object, render

HOST = ("--allow-host", "acme.truefoundry.cloud")
KEY = "lsv2_sk_REPLACE_ME"


def shown(*arguments: str) -> Object:
    ran = render("-f", EXAMPLES / "truefoundry.yaml", *HOST, *arguments)
    assert (ran.code, ran.err) == (0, "")
    (found,) = (obj for obj in ran.objects() if obj["kind"] == "ControlPlane")
    return found


def expected(key: str) -> Object:
    return {
        "apiVersion": "truefoundry.com",
        "kind": "ControlPlane",
        "metadata": {"name": "truefoundry", "namespace": "example-truefoundry"},
        "url": "https://acme.truefoundry.cloud",
        "tenant": "acme",
        "manifest": {
            "type": "gateway-otel-config",
            "otel_traces_exporter_config": {
                "type": "http",
                "endpoint": "https://eu.api.smith.langchain.com/otel/v1/traces",
                "encoding": "proto",
                "headers": {"x-api-key": key, "langsmith-project": "ai-gateway"},
                "additional_resource_attributes": {"gatewaytelemetry.id": "565e0ab19e49", "team": "platform"},
                "exclude_request_data": False,
            },
        },
    }


def test_the_example_is_what_a_control_plane_is_sent() -> None:
    assert shown("--show-secrets") == expected(KEY)


def test_the_key_is_a_hash_unless_asked_for() -> None:
    assert shown() == expected(f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()[:8]}")
    assert KEY not in render("-f", EXAMPLES / "truefoundry.yaml", *HOST).out


def test_what_was_rendered_is_left_as_it_is() -> None:
    first = render("-f", EXAMPLES / "truefoundry.yaml", "--show-secrets", *HOST)
    assert render("-f", "-", "--show-secrets", *HOST, stdin=first.out) == first


def test_the_conditions_claim_nothing_that_was_not_seen() -> None:
    (gateway,) = (
        obj for obj in render("-f", EXAMPLES / "truefoundry.yaml", *HOST).objects() if obj["kind"] == "GatewayTelemetry"
    )
    conditions = {item["type"]: (item["status"], item["reason"]) for item in gateway["status"]["conditions"]}
    assert conditions["Accepted"] == ("True", "Accepted")
    assert conditions["ResolvedRefs"] == ("True", "Resolved")
    assert conditions["Programmed"] == ("False", "NotWritten")
    assert gateway["metadata"]["finalizers"] == ["gatewaytelemetry.dev/restore"]
    assert {item["lastTransitionTime"] for item in gateway["status"]["conditions"]} == {NOW}


def test_a_host_that_is_not_allowed_is_told() -> None:
    ran = render("-f", EXAMPLES / "truefoundry.yaml")
    assert ran.code == 1
    assert "Accepted=False (HostNotAllowed): spec.install.controlPlane.url: host acme.truefoundry.cloud" in ran.err


def test_an_object_of_that_kind_in_a_file_is_no_traceback() -> None:
    odd = {"apiVersion": "truefoundry.com", "kind": "ControlPlane", "metadata": {"name": "x"}, "manifest": ["a", 1]}
    ran = render("-f", "-", stdin=yaml.safe_dump(odd))
    assert (ran.code, ran.err) == (0, "")
