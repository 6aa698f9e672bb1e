"""Our claims on fields: which entries the patch removes, and what becomes of the others."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import web

from gateway_telemetry.cluster import ownership
from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.errors import Conflict
from gateway_telemetry.cluster.paths import DEPLOYMENTS
from tests.unit.cluster.server import Asked, Object, answer, connection, refusal, serving

OURS = {"manager": "gateway-telemetry", "operation": "Apply", "apiVersion": "apps/v1"}
HELM = {"manager": "helm", "operation": "Update", "apiVersion": "apps/v1"}
FLUX = {"manager": "kustomize-controller", "operation": "Apply", "apiVersion": "apps/v1"}
STATUS = {"manager": "gateway-telemetry", "operation": "Update", "subresource": "status"}


def live(*entries: Object, **metadata: Any) -> Object:
    return {"metadata": {"name": "x", "managedFields": list(entries), **metadata}}


def test_nothing_to_do_without_an_entry_of_ours() -> None:
    assert ownership.removals(live(HELM, FLUX)) == []
    assert ownership.removals({"metadata": {}}) == []
    assert ownership.removals({"metadata": {"managedFields": None}}) == []


def test_only_apply_entries_are_claims() -> None:
    assert ownership.removals(live(STATUS, HELM)) == []


def test_the_patch_tests_what_it_removes() -> None:
    assert ownership.removals(live(HELM, OURS, FLUX)) == [
        {"op": "test", "path": "/metadata/managedFields/1/manager", "value": "gateway-telemetry"},
        {"op": "test", "path": "/metadata/managedFields/1/operation", "value": "Apply"},
        {"op": "remove", "path": "/metadata/managedFields/1"},
    ]


def test_several_entries_go_last_one_first_so_that_places_stay_right() -> None:
    operations = ownership.removals(live(OURS, HELM, OURS, STATUS, OURS))
    assert [item["path"] for item in operations if item["op"] == "remove"] == [
        "/metadata/managedFields/4",
        "/metadata/managedFields/2",
        "/metadata/managedFields/0",
    ]
    assert patched(live(OURS, HELM, OURS, STATUS, OURS), operations)["metadata"]["managedFields"] == [HELM, STATUS]


@pytest.mark.parametrize(
    ("former", "left"),
    [((), [{}]), ((OURS,), [{}]), ((HELM,), [HELM]), ((OURS, HELM, FLUX), [HELM, FLUX])],
)
def test_an_api_server_ignores_an_emptied_list_so_something_comes_in_its_place(
    former: tuple[Object, ...], left: list[Object]
) -> None:
    *removals, last = ownership.removals(live(OURS), former=former)
    assert removals == [
        {"op": "test", "path": "/metadata/managedFields/0/manager", "value": "gateway-telemetry"},
        {"op": "test", "path": "/metadata/managedFields/0/operation", "value": "Apply"},
        {"op": "remove", "path": "/metadata/managedFields/0"},
    ]
    assert last == {"op": "replace", "path": "/metadata/managedFields", "value": left}


def patched(obj: Object, operations: list[dict[str, Any]]) -> Object:
    """Return the object after a patch of tests and removals in managedFields; ValueError if a test fails."""
    result = copy.deepcopy(obj)
    entries = result["metadata"]["managedFields"]
    for item in operations:
        index, _, field = item["path"].removeprefix("/metadata/managedFields/").partition("/")
        if item["op"] == "test":
            if int(index) >= len(entries) or entries[int(index)].get(field) != item["value"]:
                raise ValueError(item["path"])
        else:
            del entries[int(index)]
    return result


class Workload:
    """A Deployment whose managedFields others change between our read and our patch."""

    def __init__(self, *entries: Object, moves: int = 0, conflicts: int = 0) -> None:
        self.obj = live(*entries)
        self.moves = moves
        self.conflicts = conflicts

    async def __call__(self, asked: Asked) -> web.StreamResponse:
        entries = self.obj["metadata"]["managedFields"]
        if asked.method == "GET":
            return answer(self.obj)
        if asked.headers["Content-Type"] == "application/apply-patch+yaml":
            if self.conflicts and "conflict" in asked.body:
                cause = {
                    "reason": "FieldManagerConflict",
                    "message": 'conflict with "helm" using apps/v1',
                    "field": ".spec.x",
                }
                return refusal(409, "Conflict", "Apply failed with 1 conflict", causes=[cause])
            if OURS not in entries:
                entries.append(dict(OURS))
            return answer(self.obj)
        if self.moves > 0:
            self.moves -= 1
            entries.insert(0, dict(HELM))
        try:
            self.obj = patched(self.obj, asked.body)
        except ValueError:
            return refusal(422, "Invalid", "the server rejected our request due to an error in our request")
        return answer(self.obj)


async def test_what_was_applied_is_released() -> None:
    workload = Workload(HELM)
    async with serving(workload) as server, Client(connection(server.url)) as client:
        after = await ownership.write(client, DEPLOYMENTS, "shop", "x", {"old": 1}, {"new": 1})
    assert after["metadata"]["managedFields"] == [HELM]
    assert [(item.method, item.body) for item in server.asked[:2]] == [("PATCH", {"old": 1}), ("PATCH", {"new": 1})]
    assert len(server.asked) == 3


async def test_a_release_finds_its_entry_again_when_others_moved_it() -> None:
    workload = Workload(HELM, moves=3)
    async with serving(workload) as server, Client(connection(server.url)) as client:
        after = await ownership.write(client, DEPLOYMENTS, "shop", "x", None, {"new": 1})
    assert after["metadata"]["managedFields"] == [HELM] * 4
    # The entries of others are never removed in its place.
    assert workload.obj == after


async def test_a_release_gives_up_after_its_tries() -> None:
    workload = Workload(HELM, OURS, moves=100)
    async with serving(workload) as server, Client(connection(server.url)) as client:
        with pytest.raises(Conflict, match="managedFields kept changing during 8 tries to release them"):
            await ownership.release(client, DEPLOYMENTS, "shop", "x", live(HELM, OURS))
    assert sum(item.method == "PATCH" for item in server.asked) == ownership.ATTEMPTS


async def test_a_conflict_after_the_claim_leaves_no_claim_behind() -> None:
    workload = Workload(HELM, conflicts=1)
    unwritten: list[Mapping[str, Any]] = []
    async with serving(workload) as server, Client(connection(server.url)) as client:
        with pytest.raises(Conflict) as caught:
            await ownership.write(
                client, DEPLOYMENTS, "shop", "x", {"old": 1}, {"conflict": 1}, unwritten=unwritten.append
            )
    assert caught.value.managers == ("helm",)
    assert workload.obj["metadata"]["managedFields"] == [HELM]
    assert unwritten == [workload.obj], "its caller knows the object without the claim"


async def test_a_conflict_of_the_first_write_claims_nothing_and_releases_nothing() -> None:
    workload = Workload(HELM, conflicts=1)
    async with serving(workload) as server, Client(connection(server.url)) as client:
        with pytest.raises(Conflict):
            await ownership.write(client, DEPLOYMENTS, "shop", "x", None, {"conflict": 1})
        assert len(server.asked) == 1
