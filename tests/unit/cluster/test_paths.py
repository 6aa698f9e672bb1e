"""URL paths, there and back."""

from __future__ import annotations

import pytest

from gateway_telemetry.cluster.paths import (
    DEPLOYMENTS,
    GATEWAY_TELEMETRIES,
    LEASES,
    NAMESPACES,
    SECRETS,
    WORKLOADS,
    Resource,
    ResourcePath,
)


def test_paths_of_the_core_group_and_of_others() -> None:
    assert SECRETS.collection() == "/api/v1/secrets"
    assert SECRETS.collection("team-a") == "/api/v1/namespaces/team-a/secrets"
    assert SECRETS.item("team-a", "langsmith") == "/api/v1/namespaces/team-a/secrets/langsmith"
    assert DEPLOYMENTS.collection() == "/apis/apps/v1/deployments"
    assert DEPLOYMENTS.item("team-a", "x") == "/apis/apps/v1/namespaces/team-a/deployments/x"
    assert (
        GATEWAY_TELEMETRIES.item("team-a", "x", "status")
        == "/apis/gatewaytelemetry.dev/v1alpha1/namespaces/team-a/gatewaytelemetries/x/status"
    )
    assert NAMESPACES.collection() == "/api/v1/namespaces"
    assert NAMESPACES.item(None, "team-a") == "/api/v1/namespaces/team-a"
    assert (SECRETS.api_version, LEASES.api_version) == ("v1", "coordination.k8s.io/v1")
    assert {kind: item.plural for kind, item in WORKLOADS.items()} == {
        "Deployment": "deployments",
        "StatefulSet": "statefulsets",
        "DaemonSet": "daemonsets",
    }


def test_every_part_is_quoted() -> None:
    assert SECRETS.item("a/b", "c?d#e f%") == "/api/v1/namespaces/a%2Fb/secrets/c%3Fd%23e%20f%25"


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_parts_that_would_change_the_path_are_refused(part: str) -> None:
    refused = pytest.raises(ValueError, match="cannot be part of an API path")
    with refused:
        SECRETS.item("team-a", part)
    with refused:
        SECRETS.item(part, "x")
    with refused:
        SECRETS.collection(part)
    with refused:
        SECRETS.item("team-a", "x", part)


def test_namespaces_where_they_belong() -> None:
    with pytest.raises(ValueError, match="Secret 'x' needs a namespace"):
        SECRETS.item(None, "x")
    with pytest.raises(ValueError, match="Namespace is not namespaced"):
        NAMESPACES.item("team-a", "x")


@pytest.mark.parametrize(
    ("path", "parts", "text"),
    [
        ("/api/v1/secrets", ("", "secrets", "", "", ""), "secrets"),
        ("/api/v1/namespaces/a/secrets", ("", "secrets", "a", "", ""), "secrets a"),
        ("/api/v1/namespaces/a/secrets/x?limit=5", ("", "secrets", "a", "x", ""), "secrets a/x"),
        ("/api/v1/namespaces", ("", "namespaces", "", "", ""), "namespaces"),
        ("/api/v1/namespaces/a", ("", "namespaces", "", "a", ""), "namespaces a"),
        ("/api/v1/namespaces/a/status", ("", "namespaces", "", "a", "status"), "namespaces/status a"),
        ("/apis/apps/v1/deployments", ("apps", "deployments", "", "", ""), "deployments.apps"),
        (
            "/apis/apps/v1/namespaces/a/deployments/x/status",
            ("apps", "deployments", "a", "x", "status"),
            "deployments.apps/status a/x",
        ),
        ("/version", ("", "", "", "/version", ""), "/version"),
        ("/apis", ("", "", "", "/apis", ""), "/apis"),
        ("/api/v1", ("", "", "", "/api/v1", ""), "/api/v1"),
    ],
)
def test_a_path_is_taken_apart(path: str, parts: tuple[str, ...], text: str) -> None:
    found = ResourcePath.parse(path)
    assert (found.group, found.resource, found.namespace, found.name, found.subresource) == parts
    assert str(found) == text


def test_rbac_names_a_subresource_with_its_resource() -> None:
    assert ResourcePath.parse(SECRETS.item("a", "x")).rbac_resource == "secrets"
    assert ResourcePath.parse(GATEWAY_TELEMETRIES.item("a", "x", "status")).rbac_resource == "gatewaytelemetries/status"


@pytest.mark.parametrize("resource", [SECRETS, DEPLOYMENTS, GATEWAY_TELEMETRIES, NAMESPACES])
@pytest.mark.parametrize("name", ["x", "a/b", "ä ö", "status", "namespaces", "100%"])
def test_there_and_back(resource: Resource, name: str) -> None:
    namespace = "team-a" if resource.namespaced else None
    found = ResourcePath.parse(resource.item(namespace, name))
    assert (found.group, found.resource, found.namespace, found.name) == (
        resource.group,
        resource.plural,
        namespace or "",
        name,
    )
