"""Does a container leave room for the settings? What is there already is named, and nothing is written."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan.gateways import SinkState
from tests.unit.plan.build import (
    CA_PEM,
    Object,
    World,
    config_map,
    container,
    deployment,
    env,
    gateway,
    hosted,
    one_gateway,
    only_sink,
    only_write,
    secret,
    target,
)

TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
ATTRIBUTES = "OTEL_RESOURCE_ATTRIBUTES"


def sink_of(*items: Object, view: Object | None = None, **options: Any) -> SinkState:
    """Return the sink of a Deployment with the container litellm, which has these variables."""
    workload = deployment(containers=[container(env=list(items))])
    return only_sink(one_gateway(view=view, workload=workload, **options).plan())


def refused(sink: SinkState, reason: Reason, text: str) -> None:
    assert (sink.state, sink.reason) == ("Blocked", reason)
    assert text in sink.message
    assert sink.write is None


@pytest.mark.parametrize(
    ("names", "wanted", "type_", "picked"),
    [
        (["litellm"], None, "litellm", "litellm"),
        (["proxy"], None, "litellm", "proxy"),
        (["istio-proxy", "litellm"], None, "litellm", "litellm"),
        (["istio-proxy", "app"], "app", "litellm", "app"),
        (["istio-proxy", "litellm"], "istio-proxy", "litellm", "istio-proxy"),
        (["app"], None, "otel-sdk", "app"),
    ],
)
def test_the_container_that_exports_is_picked(names: list[str], wanted: str | None, type_: str, picked: str) -> None:
    workload = deployment(containers=[container(name) for name in names])
    view = gateway(container=wanted, gateway={"type": type_})
    sink = only_sink(one_gateway(view=view, workload=workload).plan())
    assert (sink.container, sink.state) == (picked, "Pending")
    assert only_write(one_gateway(view=view, workload=workload).plan()).injection.container == picked


@pytest.mark.parametrize("type_", ["litellm", "otel-sdk"])
def test_several_containers_and_no_name_are_refused(type_: str) -> None:
    workload = deployment(containers=[container("a"), container("b")])
    sink = only_sink(one_gateway(view=gateway(gateway={"type": type_}), workload=workload).plan())
    refused(
        sink, Reason.CONTAINER_AMBIGUOUS, "Deployment shop/litellm has the containers a, b: set spec.install.inject"
    )
    assert sink.container is None


def test_a_container_that_is_not_there_is_refused() -> None:
    sink = only_sink(one_gateway(view=gateway(container="proxy")).plan())
    refused(sink, Reason.CONTAINER_NOT_FOUND, "has no container 'proxy': it has litellm; set spec.install.inject")


def test_init_containers_are_never_candidates() -> None:
    workload = deployment(containers=[container("app")])
    workload["spec"]["template"]["spec"]["initContainers"] = [container("litellm")]
    assert only_sink(one_gateway(workload=workload).plan()).container == "app"


@pytest.mark.parametrize(
    "item",
    [
        {"name": TRACES_ENDPOINT, "value": "https://old.example/v1/traces"},
        {"name": TRACES_ENDPOINT, "value": ""},
        {"name": TRACES_ENDPOINT},
        {"name": TRACES_ENDPOINT, "valueFrom": {"secretKeyRef": {"name": "other", "key": "url"}}},
        {"name": "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "value": "x-api-key=other"},
        {
            "name": "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "valueFrom": {"secretKeyRef": {"name": "other", "key": "otlp-headers", "optional": True}},
        },
        {"name": "OTEL_EXPORTER_OTLP_PROTOCOL", "value": "grpc"},
    ],
)
def test_a_variable_of_ours_with_another_source_is_a_conflict(item: Object) -> None:
    refused(sink_of(item), Reason.ENV_CONFLICT, f"container litellm already sets {item['name']}: remove it")


def test_other_variables_are_no_conflict() -> None:
    sink = sink_of(*env(OTEL_SERVICE_NAME="litellm", OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="https://metrics.example"))
    assert sink.state == "Pending"


def test_a_name_that_stands_twice_is_refused_and_named() -> None:
    twice = env(OTEL_SERVICE_NAME="a") * 2 + [{"name": TRACES_ENDPOINT, "value": "https://a.example"}] * 2
    refused(sink_of(*twice), Reason.DUPLICATE_ENV, f"lists {TRACES_ENDPOINT} 2 times: remove all but one")


def test_a_second_copy_of_what_we_wrote_is_refused() -> None:
    world = one_gateway()
    world.carry_out()
    workload = world.objects["Deployment", "shop", "litellm"]
    items = workload["spec"]["template"]["spec"]["containers"][0]["env"]
    items.append(next(item for item in items if item["name"] == TRACES_ENDPOINT))
    world.put(workload)
    refused(only_sink(world.plan()), Reason.DUPLICATE_ENV, f"lists {TRACES_ENDPOINT} 2 times")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_SDK_DISABLED", " TRUE "),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off"),
    ],
)
@pytest.mark.parametrize("type_", ["litellm", "otel-sdk"])
def test_a_variable_that_switches_tracing_off_is_refused(name: str, value: str, type_: str) -> None:
    sink = sink_of(*env(**{name: value}), view=gateway(gateway={"type": type_}))
    refused(sink, Reason.TRACING_DISABLED, f"Deployment shop/litellm, container litellm sets {name}, which")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_SDK_DISABLED", "false"),
        ("OTEL_SDK_DISABLED", ""),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_TRACES_EXPORTER", "OTLP"),
        ("OTEL_TRACES_EXPORTER", ""),
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER", "always_on"),
    ],
)
def test_a_harmless_value_of_such_a_variable_is_left_alone(name: str, value: str) -> None:
    assert sink_of(*env(**{name: value})).state == "Pending"


def test_a_switch_without_a_value_is_harmless() -> None:
    assert sink_of({"name": "OTEL_SDK_DISABLED"}).state == "Pending"


def test_the_last_of_two_equal_names_counts_as_for_the_kubelet() -> None:
    off, on = env(OTEL_SDK_DISABLED="true")[0], env(OTEL_SDK_DISABLED="false")[0]
    assert sink_of(off, on).state == "Pending"
    refused(sink_of(on, off), Reason.TRACING_DISABLED, "sets OTEL_SDK_DISABLED")


def test_a_switch_with_a_value_from_elsewhere_is_not_trusted() -> None:
    item = {"name": "OTEL_SDK_DISABLED", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "off"}}}
    refused(sink_of(item), Reason.TRACING_DISABLED, "sets OTEL_SDK_DISABLED")


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_ENDPOINT"])
def test_generic_names_that_litellm_reads_first_are_a_conflict(name: str) -> None:
    refused(sink_of(*env(**{name: "x"})), Reason.ENV_CONFLICT, f"sets {name}, which is read by LiteLLM before")


def test_headers_of_another_backend_are_refused_for_an_sdk() -> None:
    view = gateway(gateway={"type": "otel-sdk"})
    sink = sink_of(*env(OTEL_EXPORTER_OTLP_HEADERS="dd-api-key=1"), view=view)
    refused(sink, Reason.FOREIGN_HEADERS, "sets OTEL_EXPORTER_OTLP_HEADERS, which holds another backend's headers")


def test_a_generic_endpoint_beside_a_traces_scoped_one_is_left_alone() -> None:
    view = gateway(gateway={"type": "otel-sdk"})
    assert sink_of(*env(OTEL_EXPORTER_OTLP_ENDPOINT="https://metrics.example"), view=view).state == "Pending"


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_variable_that_beats_our_ca_is_refused_only_where_we_write_one(name: str) -> None:
    workload = deployment(containers=[container(env=env(**{name: "/etc/ssl/all.pem"}))])
    assert only_sink(one_gateway(workload=workload).plan()).state == "Pending"
    with_ca = target(caBundleRef={"kind": "ConfigMap", "name": "corp-ca"})
    world = World(with_ca, secret(), config_map({"ca.crt": CA_PEM}), gateway(), workload)
    refused(only_sink(world.plan()), Reason.CA_BUNDLE_OVERRIDDEN, f"sets {name}, which beats the exporter's own CA")


def test_resource_attributes_of_the_user_stay_and_ours_are_left_out() -> None:
    workload = deployment(containers=[container(env=env(**{ATTRIBUTES: "team=payments"}))])
    write = only_write(one_gateway(workload=workload).plan())
    assert ATTRIBUTES not in write.injection.names()


def test_resource_attributes_that_were_asked_for_are_a_conflict_with_the_user_s() -> None:
    sink = sink_of(*env(**{ATTRIBUTES: "team=payments"}), view=gateway(resourceAttributes={"team": "search"}))
    refused(sink, Reason.ENV_CONFLICT, f"already sets {ATTRIBUTES}")


CONFIG = ("ConfigMap", "settings")
HIDDEN = ("Secret", "hidden")


def with_env_from(entries: list[Object], keys: dict[tuple[str, str], frozenset[str] | None]) -> SinkState:
    workload = deployment(containers=[container(envFrom=entries)])
    return only_sink(one_gateway(workload=workload, env_from=keys).plan())


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ({"configMapRef": {"name": "settings"}}, TRACES_ENDPOINT),
        ({"configMapRef": {"name": "settings"}, "prefix": "OTEL_"}, "EXPORTER_OTLP_TRACES_ENDPOINT"),
        ({"secretRef": {"name": "settings"}}, TRACES_ENDPOINT),
    ],
)
def test_a_name_from_env_from_is_a_conflict_that_names_its_object(entry: Object, key: str) -> None:
    kind = "Secret" if "secretRef" in entry else "ConfigMap"
    sink = with_env_from([entry], {(kind, "settings"): frozenset({key, "OTHER"})})
    refused(
        sink, Reason.ENV_CONFLICT, f"already gets {TRACES_ENDPOINT} from {kind} settings (envFrom): remove it there"
    )


def test_what_was_written_is_not_in_danger_from_env_from() -> None:
    world = one_gateway(workload=deployment(containers=[container(envFrom=[{"configMapRef": {"name": "settings"}}])]))
    world.carry_out()
    world.env_from = {CONFIG: frozenset({TRACES_ENDPOINT})}
    assert only_sink(world.plan()).state == "Programmed"
    world.store.drop_record(("shop", "gateway-telemetry-deployment-litellm"))
    assert only_sink(world.plan()).state == "Pending"


def test_an_item_without_a_name_is_passed_over() -> None:
    assert sink_of({"value": "x"}).state == "Pending"


def test_a_prefix_keeps_names_apart() -> None:
    entry = {"configMapRef": {"name": "settings"}, "prefix": "APP_"}
    assert with_env_from([entry], {CONFIG: frozenset({TRACES_ENDPOINT})}).state == "Pending"


def test_a_switch_from_env_from_is_found() -> None:
    sink = with_env_from([{"configMapRef": {"name": "settings"}}], {CONFIG: frozenset({"OTEL_SDK_DISABLED"})})
    refused(sink, Reason.TRACING_DISABLED, "gets OTEL_SDK_DISABLED from ConfigMap settings (envFrom), which switches")


def test_resource_attributes_from_env_from_stay() -> None:
    entry = {"configMapRef": {"name": "settings"}}
    sink = with_env_from([entry], {CONFIG: frozenset({ATTRIBUTES})})
    assert sink.write is not None
    assert ATTRIBUTES not in sink.write.injection.names()


def test_an_object_that_does_not_exist_gives_no_names() -> None:
    entry = {"configMapRef": {"name": "absent", "optional": True}}
    assert with_env_from([entry], {}).state == "Pending"


def test_an_object_that_may_not_be_read_stops_the_write() -> None:
    sink = with_env_from([{"secretRef": {"name": "hidden"}}], {HIDDEN: None})
    refused(
        sink, Reason.ENV_FROM_UNREADABLE, "takes variables from Secret hidden (envFrom), which the operator may not"
    )


def with_ca(workload: Object) -> SinkState:
    view = hosted("https://ls.shop.svc", caBundleRef={"kind": "ConfigMap", "name": "corp-ca"})
    return only_sink(World(view, secret(), config_map({"ca.crt": CA_PEM}), gateway(), workload).plan())


def test_a_volume_of_our_name_is_refused() -> None:
    sink = with_ca(deployment(volumes=[{"name": "gateway-telemetry", "emptyDir": {}}]))
    refused(
        sink, Reason.MOUNT_CONFLICT, "Deployment shop/litellm already has a volume named gateway-telemetry: rename it"
    )


@pytest.mark.parametrize("path", ["/etc/gateway-telemetry", "/etc/gateway-telemetry/", "/etc//gateway-telemetry"])
def test_a_mount_at_our_path_is_refused(path: str) -> None:
    mounts = [{"name": "certs", "mountPath": path}]
    sink = with_ca(deployment(containers=[container(volumeMounts=mounts)], volumes=[{"name": "certs", "emptyDir": {}}]))
    refused(
        sink, Reason.MOUNT_CONFLICT, "container litellm already mounts something at /etc/gateway-telemetry: move it"
    )


def test_volumes_of_other_names_are_no_conflict() -> None:
    mounts = [{"name": "certs", "mountPath": "/etc/certs"}]
    workload = deployment(containers=[container(volumeMounts=mounts)], volumes=[{"name": "certs", "emptyDir": {}}])
    assert with_ca(workload).state == "Pending"


def test_without_a_ca_our_volume_name_does_not_matter() -> None:
    workload = deployment(volumes=[{"name": "gateway-telemetry", "emptyDir": {}}])
    assert only_sink(one_gateway(workload=workload).plan()).state == "Pending"
