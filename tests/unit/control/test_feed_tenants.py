"""What the feed marks for gateways of a control plane: their keys, their records, and who waits for a tenant."""

from __future__ import annotations

from typing import Any

import pytest

from gateway_telemetry.cluster.paths import SECRETS
from gateway_telemetry.control.feed import GATEWAY, Feed
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.store import Store
from gateway_telemetry.plan.tenant_record import Remembered, TenantRecord, record_name, record_object
from tests.unit.plan.build import NS, Object, config_map, secret
from tests.unit.plan.test_tenants import HOST, TFY_KEY, tenant

FIRST, SECOND, OTHER = (Ref(GATEWAY, *key) for key in ((NS, "checkout"), (NS, "second"), ("other", "third")))


class Fed:
    """A feed that has seen three gateways, two of them of one tenant."""

    def __init__(self) -> None:
        self.store = Store()
        self.marked: list[Ref] = []
        self.feed = Feed(self.store, self.marked.append)
        self.version = 0
        bundle = {"caBundleRef": {"kind": "ConfigMap", "name": "corp-ca"}}
        self.see(tenant(way=bundle))
        self.see(tenant("second"))
        self.see(tenant("third", "other", way={"tenant": "umbrella"}))
        self.marked.clear()

    def newer(self, obj: Object) -> Object:
        self.version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}

    def see(self, obj: Object, **more: Any) -> set[Ref]:
        self.marked.clear()
        self.feed.see(self.newer(obj), **more)
        return set(self.marked)


@pytest.fixture
def fed() -> Fed:
    return Fed()


def record() -> Object:
    key = (HOST, "acme")
    view = TenantRecord(
        NS,
        record_name(key),
        key,
        owner=(NS, "checkout"),
        owner_uid=None,
        url=f"https://{HOST}",
        stamp="stamp",
        written="digest",
        orphan=False,
        access="access",
    )
    return record_object(view, Remembered(None, TFY_KEY, None))


def test_a_key_concerns_the_gateways_that_name_it(fed: Fed) -> None:
    assert fed.see(secret({"api-key": TFY_KEY}, "truefoundry")) == {FIRST, SECOND}
    assert fed.see(secret({"api-key": TFY_KEY}, "truefoundry", "other")) == {OTHER}
    assert fed.see(config_map({"ca.crt": "x"})) == {FIRST}
    assert fed.see(secret({"api-key": TFY_KEY}, "unrelated")) == set()


def test_a_record_concerns_its_owner_and_who_waits_for_the_tenant(fed: Fed) -> None:
    assert fed.see(record()) == {FIRST, SECOND}
    assert [item.tenant for item in fed.store.tenant_records_of_owner((NS, "checkout"))] == [(HOST, "acme")]
    assert fed.see(record(), deleted=True) == {FIRST, SECOND}
    assert fed.store.tenant_records == {}


def test_a_record_of_ours_that_was_deleted_by_us_lets_others_go_on(fed: Fed) -> None:
    fed.see(record())
    fed.marked.clear()
    fed.feed.removed("Secret", NS, record()["metadata"]["name"])
    assert set(fed.marked) == {FIRST, SECOND}
    assert fed.store.tenant_records == {}


def test_a_rival_that_goes_lets_others_go_on(fed: Fed) -> None:
    assert fed.see(tenant(), deleted=True) == {FIRST, SECOND}
    assert [view.name for view in fed.store.gateways_of_tenant((HOST, "acme"))] == ["second"]


def test_a_gateway_that_moves_to_another_tenant_concerns_both(fed: Fed) -> None:
    moved = fed.see(tenant("second", way={"tenant": "umbrella"}))
    assert moved == {FIRST, SECOND, OTHER}


def test_a_list_without_the_record_forgets_it(fed: Fed) -> None:
    fed.see(record())
    fed.version += 1
    assert fed.feed.replace(SECRETS, None, [], str(fed.version)) == 1
    assert fed.store.tenant_records == {}
