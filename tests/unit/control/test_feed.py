"""The feed: what the store holds after news in any order, and whom a change concerns."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway_telemetry.cluster.paths import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    GATEWAY_TELEMETRIES,
    LANGSMITH_TARGETS,
    NAMESPACES,
    SECRETS,
    Resource,
)
from gateway_telemetry.control.feed import Feed
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.store import Store
from tests.unit.plan import build
from tests.unit.plan.build import NS, Object

CHECKOUT = Ref("GatewayTelemetry", NS, "checkout")
TARGET = Ref("LangSmithTarget", NS, "langsmith")
OURS = [{"manager": "gateway-telemetry", "operation": "Apply"}]


def at(version: int, obj: Object, **metadata: Any) -> Object:
    """Return the object with a resourceVersion and more metadata."""
    return {**obj, "metadata": {**obj["metadata"], **metadata, "resourceVersion": str(version)}}


def record(owner: str = "checkout", workload: str = "litellm", text: str = "{}") -> Object:
    """Return the operator's own Secret beside a Deployment."""
    body = json.dumps(
        {
            "owner": {"namespace": NS, "name": owner, "uid": None},
            "workload": {"kind": "Deployment", "name": workload, "uid": None},
            "injection": {"container": "litellm", "env": [], "mounts": [], "volumes": [], "hash": "h"},
            "previous": None,
        }
    )
    made = build.secret({"record.json": body, "otlp-headers": text}, f"gateway-telemetry-deployment-{workload}")
    made["metadata"]["labels"] = {
        "gatewaytelemetry.dev/role": "copy",
        "app.kubernetes.io/managed-by": "gateway-telemetry-operator",
    }
    return made


class Fed:
    """A feed, its store, and what it has marked since it was last asked."""

    def __init__(self, *objects: Object) -> None:
        self.store = Store()
        self._marked: list[Ref] = []
        self.now = datetime(2026, 1, 3, tzinfo=UTC)
        self.feed = Feed(self.store, self._marked.append, lambda: self.now)
        for number, obj in enumerate(objects, 1):
            self.feed.see(at(number, obj))
        self._marked.clear()

    def marked(self) -> set[Ref]:
        found = set(self._marked)
        self._marked.clear()
        return found

    def see(self, version: int, obj: Object, *, deleted: bool = False, **metadata: Any) -> set[Ref]:
        self.feed.see(at(version, obj, **metadata), deleted=deleted)
        return self.marked()

    def wrote(self, version: int, obj: Object, **metadata: Any) -> set[Ref]:
        self.feed.wrote(at(version, obj, **metadata))
        return self.marked()

    def listed(self, resource: Resource, version: int, *objects: Object, namespace: str | None = None) -> int:
        return self.feed.replace(resource, namespace, objects, str(version))


def test_old_versions_are_dismissed() -> None:
    fed = Fed()
    assert fed.see(10, build.gateway()) == {CHECKOUT}
    assert fed.see(10, build.gateway(deleting=True)) == set()
    assert fed.see(9, build.gateway(deleting=True)) == set()
    assert not fed.store.gateways[NS, "checkout"].deleting
    assert (fed.feed.events, fed.feed.dismissed) == (3, 2)
    assert fed.feed.version("GatewayTelemetry", NS, "checkout") == "10"


def test_versions_are_compared_as_numbers() -> None:
    fed = Fed()
    fed.see(9, build.gateway())
    assert fed.see(10, build.gateway(deleting=True)) == {CHECKOUT}


def test_an_update_that_changes_nothing_of_interest_marks_nothing() -> None:
    fed = Fed(build.deployment(), build.gateway())
    assert fed.see(20, build.deployment(), annotations={"other.example/touched": "1"}) == set()
    assert fed.see(21, build.gateway(), annotations={"kubectl.kubernetes.io/last-applied-configuration": "{}"}) == set()
    assert fed.feed.version("Deployment", NS, "litellm") == "20"


def test_own_writes_are_silent_and_so_is_what_the_watch_repeats_of_them() -> None:
    fed = Fed(build.gateway(), build.deployment())
    written = {**build.gateway(), "status": {"observedGeneration": 1}}
    assert fed.wrote(20, written, finalizers=["gatewaytelemetry.dev/restore"]) == set()
    assert fed.see(20, written, finalizers=["gatewaytelemetry.dev/restore"]) == set()
    assert fed.store.gateways[NS, "checkout"].status == {"observedGeneration": 1}
    injected = build.deployment(generation=2, containers=[build.container(env=build.env(A="1"))])
    assert fed.wrote(21, injected) == set()
    assert fed.wrote(22, record()) == set()
    assert (NS, "gateway-telemetry-deployment-litellm") in fed.store.records
    assert fed.see(21, injected) == set()


def test_an_answer_that_is_older_than_the_watch_changes_nothing() -> None:
    fed = Fed(build.gateway())
    fed.see(20, build.gateway(deleting=True))
    assert fed.wrote(19, build.gateway()) == set()
    assert fed.store.gateways[NS, "checkout"].deleting


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(build.gateway(), build.gateway(deleting=True), id="deletion"),
        pytest.param(build.gateway(), at(0, build.gateway(suspend=True), generation=2), id="spec"),
        pytest.param(
            build.gateway(),
            at(0, build.gateway(), annotations={"gatewaytelemetry.dev/requestedAt": "1"}),
            id="request",
        ),
        pytest.param(build.deployment(), build.deployment(labels={"app": "litellm", "x": "y"}), id="labels"),
        pytest.param(build.deployment(), build.deployment(generation=3), id="template"),
        pytest.param(build.deployment(), build.deployment(uid="made-anew"), id="anew"),
    ],
)
def test_what_somebody_else_changed_just_before_our_write_is_not_lost(before: Object, after: Object) -> None:
    """Their change reaches us in the answer to our write first, and the watch's news of it is older than that."""
    fed = Fed(before, build.gateway())
    assert fed.wrote(21, {**after, "status": {"observedGeneration": 1}}) == {CHECKOUT}
    assert fed.see(20, after) == set()


def test_a_target_that_changed_just_before_our_write_is_looked_at_again() -> None:
    fed = Fed(build.target(), build.gateway())
    edited = at(0, build.target(project="other"), generation=2)
    assert fed.wrote(21, {**edited, "status": {"observedGeneration": 1}}) == {TARGET, CHECKOUT}


def test_deletions_drop_the_view_and_mark_whom_it_concerned() -> None:
    fed = Fed(build.target(), build.gateway(), build.deployment(), build.secret())
    assert fed.see(20, build.deployment(), deleted=True) == {CHECKOUT}
    assert fed.see(21, build.secret(), deleted=True) == {TARGET, CHECKOUT}
    assert fed.see(22, build.target(), deleted=True) == {TARGET, CHECKOUT}
    assert fed.see(23, build.gateway(), deleted=True) == {CHECKOUT}
    store = fed.store
    assert (store.targets, store.gateways, store.workloads, store.sources) == ({}, {}, {}, {})
    assert fed.feed.version("Deployment", NS, "litellm") == ""


def test_the_deletion_of_an_earlier_object_of_the_same_name_is_old_news() -> None:
    fed = Fed()
    fed.see(30, build.gateway())
    assert fed.see(20, build.gateway(), deleted=True) == set()
    assert (NS, "checkout") in fed.store.gateways


def test_what_is_older_than_a_deletion_does_not_bring_the_object_back() -> None:
    """An answer to a write, or a list of many pages, that was under way while the object went."""
    fed = Fed(build.gateway(), build.deployment())
    fed.see(30, build.gateway(), deleted=True)
    fed.see(31, build.deployment(), deleted=True)
    assert fed.wrote(29, build.gateway(deleting=True)) == set()
    assert fed.listed(DEPLOYMENTS, 29, at(2, build.deployment())) == 0
    assert fed.see(28, build.deployment()) == set()
    assert (fed.store.gateways, fed.store.workloads) == ({}, {})


def test_an_object_that_is_made_again_is_seen() -> None:
    fed = Fed(build.gateway())
    fed.see(30, build.gateway(), deleted=True)
    assert fed.see(31, build.gateway()) == {CHECKOUT}
    assert (NS, "checkout") in fed.store.gateways


def test_what_is_remembered_of_deletions_goes_with_the_next_list() -> None:
    fed = Fed()
    for number in range(100):
        fed.see(2 * number + 1, build.deployment(f"d{number}"))
        fed.see(2 * number + 2, build.deployment(f"d{number}"), deleted=True)
    assert len(fed.feed._gone) == 100
    fed.listed(DEPLOYMENTS, 150)
    assert len(fed.feed._gone) == 25
    fed.listed(DEPLOYMENTS, 1000)
    assert fed.feed._gone == {}
    assert fed.feed._versions == {}
    # The list without it tells as much.
    assert fed.see(199, build.deployment("d99")) == set()
    assert fed.store.workloads == {}


def test_a_cluster_that_came_back_from_a_backup_counts_versions_from_there() -> None:
    fed = Fed(build.gateway("kept"), build.gateway("lost"))
    fed.see(900, build.gateway("kept", suspend=True), generation=2)
    fed.see(901, build.gateway("young"))
    fed.listed(
        GATEWAY_TELEMETRIES,
        1000,
        at(900, build.gateway("kept", suspend=True), generation=2),
        at(2, build.gateway("lost")),
        at(901, build.gateway("young")),
    )
    fed.marked()
    fed.listed(GATEWAY_TELEMETRIES, 500, at(1, build.gateway("kept")), at(450, build.gateway("other")))
    assert sorted(name for _, name in fed.store.gateways) == ["kept", "other"]
    assert fed.store.gateways[NS, "kept"].generation == 1
    assert fed.marked() == {Ref("GatewayTelemetry", NS, name) for name in ("kept", "lost", "young", "other")}
    assert fed.see(501, build.gateway("kept", deleting=True)) == {Ref("GatewayTelemetry", NS, "kept")}


def test_a_list_heals_missed_additions_changes_and_deletions() -> None:
    fed = Fed(build.gateway("one"), build.gateway("two"), build.gateway("three"))
    missed = fed.listed(
        GATEWAY_TELEMETRIES,
        50,
        at(1, build.gateway("one")),
        at(40, build.gateway("two", deleting=True)),
        at(41, build.gateway("four")),
    )
    assert missed == 3
    assert sorted(name for _, name in fed.store.gateways) == ["four", "one", "two"]
    assert fed.store.gateways[NS, "two"].deleting
    assert fed.marked() == {Ref("GatewayTelemetry", NS, name) for name in ("two", "three", "four")}
    assert fed.listed(GATEWAY_TELEMETRIES, 51, at(1, build.gateway("one")), *[]) == 2


def test_what_is_newer_than_the_list_survives_it() -> None:
    fed = Fed(build.gateway("old"))
    fed.see(60, build.gateway("new"))
    fed.see(61, build.gateway("old", deleting=True))
    assert fed.listed(GATEWAY_TELEMETRIES, 50, at(1, build.gateway("old"))) == 0
    assert sorted(name for _, name in fed.store.gateways) == ["new", "old"]
    assert fed.store.gateways[NS, "old"].deleting


def test_the_list_of_one_kind_and_namespace_says_nothing_of_others() -> None:
    fed = Fed(build.gateway(), build.gateway(namespace="bank"), build.deployment(), build.target())
    assert fed.listed(GATEWAY_TELEMETRIES, 50, namespace="bank") == 1
    assert sorted(fed.store.gateways) == [(NS, "checkout")]
    assert len(fed.store.workloads) == len(fed.store.targets) == 1


def test_a_secret_that_we_deleted_is_gone_at_once_and_for_good() -> None:
    fed = Fed(record(), build.deployment(), build.gateway())
    secret = SECRETS.kind, NS, "gateway-telemetry-deployment-litellm"
    fed.feed.removed(*secret)
    assert fed.store.records == {}
    # Whoever waited for the workload may have it now.
    assert fed.marked() == {CHECKOUT}
    assert fed.see(1, record()) == set()
    assert fed.store.records == {}
    assert fed.see(20, record(), deleted=True) == set()
    assert fed.feed.version(*secret) == ""


def test_what_somebody_deletes_is_remembered_until_it_is_there_again() -> None:
    fed = Fed(build.gateway(), build.deployment(), record())
    secret = SECRETS.kind, NS, "gateway-telemetry-deployment-litellm"
    assert fed.see(20, record(), deleted=True) == {CHECKOUT}
    lost = fed.store.lost[secret]
    assert (lost.at, lost.exact, lost.view.owner) == (fed.now, True, (NS, "checkout"))
    fed.wrote(21, record())
    assert fed.store.lost == {}
    fed.listed(SECRETS, 22)
    lost = fed.store.lost[secret]
    assert (lost.at, lost.exact, lost.view.version) == (fed.now, False, "21")
    fed.now += timedelta(minutes=59)
    fed.listed(SECRETS, 23)
    assert secret in fed.store.lost
    fed.now += timedelta(minutes=2)
    fed.listed(SECRETS, 24)
    assert fed.store.lost == {}


def test_what_goes_with_its_gateway_or_by_our_own_hand_is_not_missed() -> None:
    fed = Fed(build.gateway(), build.deployment(), record())
    fed.feed.removed(SECRETS.kind, NS, "gateway-telemetry-deployment-litellm")
    fed.see(20, record(), deleted=True)
    assert fed.store.lost == {}
    fed.see(21, record())
    fed.see(22, build.gateway(), deleted=True)
    fed.see(23, record(), deleted=True)
    assert fed.store.lost == {}
    fed.see(24, build.gateway())
    fed.see(25, record())
    fed.see(26, record(), deleted=True)
    assert len(fed.store.lost) == 1
    fed.see(27, build.gateway(), deleted=True)
    fed.listed(SECRETS, 28)
    assert fed.store.lost == {}, "it goes with its gateway, at the latest with the next list"


def ca_copy(text: str = "pem") -> Object:
    """Return the ConfigMap that the operator writes beside a referenced Secret."""
    made = build.config_map({"ca.crt": text}, "litellm-otlp-ca")
    made["metadata"]["labels"] = {**build.MANAGED_BY, "gatewaytelemetry.dev/role": "copy"}
    made["metadata"]["annotations"] = {"gatewaytelemetry.dev/owner": f"{NS}/checkout"}
    return made


def test_the_ca_beside_a_referenced_secret_concerns_the_gateway_that_it_was_written_for() -> None:
    fed = Fed(build.referring())
    assert fed.wrote(20, ca_copy()) == set()
    assert fed.store.ca_copies[NS, "litellm-otlp-ca"].owner == (NS, "checkout")
    assert fed.see(21, ca_copy("theirs")) == {CHECKOUT}
    assert fed.see(22, ca_copy("theirs"), deleted=True) == {CHECKOUT}
    assert fed.store.ca_copies == {}
    assert list(fed.store.lost) == [("ConfigMap", NS, "litellm-otlp-ca")]
    fed.wrote(23, ca_copy())
    assert fed.store.lost == {}
    fed.feed.removed("ConfigMap", NS, "litellm-otlp-ca")
    assert not fed.store.ca_copies
    assert not fed.store.lost
    foreign = ca_copy()
    foreign["metadata"]["annotations"] = {"gatewaytelemetry.dev/owner": "bank/checkout"}
    fed.see(24, foreign)
    assert fed.store.ca_copies == {}, "it speaks for its own namespace only"


def test_a_secret_may_change_its_role() -> None:
    fed = Fed(build.target(), build.gateway())
    name = "gateway-telemetry-deployment-litellm"
    fed.see(20, build.target(credentials={"ingest": {"secretRef": {"name": name, "key": "api-key"}}}), generation=2)
    fed.marked()
    assert fed.see(21, record()) == {CHECKOUT}
    assert (list(fed.store.records), list(fed.store.sources)) == ([(NS, name)], [])
    assert fed.see(22, build.secret(name=name)) == {TARGET, CHECKOUT}
    assert (list(fed.store.records), list(fed.store.sources)) == ([], [("Secret", NS, name)])
    assert fed.see(23, record()) == {TARGET, CHECKOUT}
    assert (list(fed.store.records), list(fed.store.sources)) == ([(NS, name)], [])


def test_a_secret_that_only_looks_like_a_record_is_none() -> None:
    fed = Fed(build.gateway())
    fake = record()
    fake["data"] = {"record.json": "bm90IEpTT04="}
    assert fed.see(20, fake) == set()
    assert fed.see(21, record()) == {CHECKOUT}
    assert fed.see(22, fake) == {CHECKOUT}
    assert fed.store.records == {}


def test_a_config_map_has_nothing_to_do_with_the_secret_of_its_name() -> None:
    fed = Fed(build.gateway(), record())
    name = "gateway-telemetry-deployment-litellm"
    fed.see(20, build.config_map({"ca.crt": "x"}, name))
    assert fed.see(21, build.config_map({}, name), deleted=True) == set()
    assert list(fed.store.records) == [(NS, name)]


@pytest.mark.parametrize(
    ("change", "marks"),
    [
        pytest.param(
            at(0, build.target(project="other"), generation=2),
            {TARGET, CHECKOUT, Ref("GatewayTelemetry", NS, "second")},
            id="target",
        ),
        pytest.param(
            build.secret({"api-key": "new"}),
            {TARGET, CHECKOUT, Ref("GatewayTelemetry", NS, "second")},
            id="source-secret",
        ),
        pytest.param(build.secret({"api-key": "new"}, name="unrelated"), set(), id="other-secret"),
        pytest.param(
            build.config_map({"ca.crt": "x"}),
            {Ref("LangSmithTarget", NS, "hosted"), Ref("GatewayTelemetry", NS, "third")},
            id="ca-bundle",
        ),
        pytest.param(build.deployment(generation=2), {CHECKOUT, Ref("GatewayTelemetry", NS, "second")}, id="workload"),
        pytest.param(build.deployment("other", labels={"app": "other"}), set(), id="workload-of-nobody"),
        pytest.param(build.deployment(namespace="bank"), {Ref("GatewayTelemetry", "bank", "checkout")}, id="namespace"),
        # Who wins may have changed for those that contend with it.
        pytest.param(build.gateway(suspend=True), {CHECKOUT, Ref("GatewayTelemetry", NS, "second")}, id="gateway"),
        pytest.param(
            build.gateway("third", targetRef={"name": "hosted"}, labels={"app": "third"}, suspend=True),
            {Ref("GatewayTelemetry", NS, "third")},
            id="gateway-alone",
        ),
        pytest.param(
            build.namespace_object("bank", team="b"), {Ref("GatewayTelemetry", "bank", "checkout")}, id="labels-of-bank"
        ),
    ],
)
def test_whom_a_change_concerns(change: Object, marks: set[Ref]) -> None:
    hosted = build.target(
        "hosted",
        credentials={"ingest": {"secretRef": {"name": "of-hosted", "key": "api-key"}}},
        caBundleRef={"kind": "ConfigMap", "name": "corp-ca"},
    )
    fed = Fed(
        build.namespace_object("bank"),
        build.namespace_object(NS),
        build.target(),
        hosted,
        build.secret(),
        build.config_map({"ca.crt": "old"}),
        build.gateway(),
        build.gateway("second"),
        build.gateway("third", targetRef={"name": "hosted"}, labels={"app": "third"}),
        build.gateway(namespace="bank"),
        build.deployment(),
    )
    assert fed.see(50, change) == marks


def test_a_workload_that_loses_its_label_still_concerns_whom_it_belonged_to() -> None:
    fed = Fed(build.gateway(), build.deployment(), record())
    assert fed.see(20, build.deployment(labels={"app": "other"})) == {CHECKOUT}
    # Its record says whose it was.
    assert fed.see(21, build.deployment(labels={"app": "other"}, generation=2)) == {CHECKOUT}


def test_a_claim_that_was_left_behind_marks_the_workload_itself() -> None:
    fed = Fed(build.deployment())
    assert fed.see(20, build.deployment(), managedFields=OURS) == {Ref("Deployment", NS, "litellm")}
    assert fed.see(21, build.deployment(), managedFields=[]) == set()


def test_a_claim_that_comes_and_goes_does_not_call_those_that_write() -> None:
    """A write that is refused after its claim shows both; whoever tried it waits for its own pause."""
    fed = Fed(build.gateway(), build.deployment(), record())
    assert fed.see(20, build.deployment(), managedFields=OURS) == {Ref("Deployment", NS, "litellm")}
    assert fed.see(21, build.deployment(), managedFields=[]) == set()
    assert not fed.store.workloads["Deployment", NS, "litellm"].owned
    changed = build.deployment(generation=2)
    assert fed.see(22, changed, managedFields=OURS) == {Ref("Deployment", NS, "litellm"), CHECKOUT}


def test_a_namespace_drops_out() -> None:
    fed = Fed(build.namespace_object("bank"), build.gateway(namespace="bank"))
    assert fed.see(20, build.namespace_object("bank"), deleted=True) == {Ref("GatewayTelemetry", "bank", "checkout")}
    assert fed.store.namespaces == {}
    assert fed.listed(NAMESPACES, 30, at(25, build.namespace_object("bank", team="b"))) == 1
    assert fed.store.namespaces == {"bank": {"team": "b"}}


RESOURCES = {
    item.kind: item for item in (LANGSMITH_TARGETS, GATEWAY_TELEMETRIES, DEPLOYMENTS, SECRETS, CONFIG_MAPS, NAMESPACES)
}
Content = Mapping[tuple[str, str, str], Object]


def views(store: Store) -> dict[str, object]:
    """Return what the store holds, with what its indexes answer."""
    return {
        "targets": dict(store.targets),
        "gateways": dict(store.gateways),
        "workloads": dict(store.workloads),
        "sources": dict(store.sources),
        "records": dict(store.records),
        "namespaces": {key: dict(value) for key, value in store.namespaces.items()},
        "rolling": set(store.rolling),
        "matching": {
            key: [item.key for item in store.workloads_matching(view)] for key, view in store.gateways.items()
        },
        "selected": {key: [item.key for item in store.gateways_matching(w)] for key, w in store.workloads.items()},
        "owned": {key: [item.name for item in store.records_of_owner(key)] for key in store.gateways},
        "of_target": {key: store.gateways_of_target(key) for key in store.targets},
        "of_source": {key: store.targets_of_source(*key) for key in store.sources},
    }


def rebuilt(content: Content) -> dict[str, object]:
    """Return the same for a store that has only ever seen the cluster as it is now."""
    fed = Fed()
    for obj in content.values():
        fed.feed.see(obj)
    return views(fed.store)


class Cluster:
    """A cluster whose objects change at random, and news of it that come late, twice or never."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.version = 0
        self.content: dict[tuple[str, str, str], Object] = {}
        self.news: list[tuple[Object, bool]] = []

    def step(self) -> None:
        obj = self.make()
        metadata = obj["metadata"]
        key = obj["kind"], metadata.get("namespace", ""), metadata["name"]
        self.version += self.random.randint(1, 3)
        if key in self.content and self.random.random() < 0.3:
            last = at(self.version, self.content.pop(key))
            self.news.append((last, True))
        else:
            self.content[key] = at(self.version, obj)
            self.news.append((self.content[key], False))

    def make(self) -> Object:
        pick = self.random.choice
        name, namespace = pick("abc"), pick(["shop", "bank"])
        app = {"app": pick(["litellm", "other"])}
        match pick(["target", "gateway", "deployment", "source", "record", "map", "namespace"]):
            case "target":
                key = {"secretRef": {"name": pick("abc"), "key": "api-key"}}
                return build.target(name, namespace, credentials={"ingest": key}, project=pick(["p", "q"]))
            case "gateway":
                ref = {"name": pick("abc")}
                return build.gateway(name, namespace, labels=app, targetRef=ref, deleting=pick([True, False]))
            case "deployment":
                return build.deployment(name, namespace, labels=app, generation=pick([1, 2]), replicas=pick([0, 1]))
            case "source":
                return build.secret({"api-key": pick(["one", "two"])}, name, namespace)
            case "record":
                made = record(pick("abc"), name, pick(["x", "y"]))
                made["metadata"]["name"] = name
                return made
            case "map":
                return build.config_map({"ca.crt": pick(["x", "y"])}, name, namespace)
            case _:
                return build.namespace_object(namespace, team=pick(["x", "y"]))

    def listing(self, kind: str) -> list[Object]:
        return [copy.deepcopy(obj) for key, obj in self.content.items() if key[0] == kind]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_order_news_come_in_the_next_lists_make_the_store_equal_to_the_cluster(seed: int) -> None:
    cluster, fed = Cluster(seed), Fed()
    dice = cluster.random
    late: list[tuple[Object, bool]] = []
    for _ in range(300):
        cluster.step()
        obj, deleted = cluster.news[-1]
        match dice.choice(["now", "now", "late", "lost", "answer"]):
            case "now":
                fed.feed.see(obj, deleted=deleted)
            case "late":
                late.append((obj, deleted))
            case "answer" if not deleted:
                fed.feed.wrote(obj)
                late.append((obj, deleted))
        if late and dice.random() < 0.3:
            old, gone = late.pop(dice.randrange(len(late)))
            fed.feed.see(old, deleted=gone)
        if dice.random() < 0.05:
            kind = dice.choice(sorted(RESOURCES))
            pages, version = cluster.listing(kind), cluster.version
            for _ in range(dice.randrange(4)):
                # While the pages come in, the cluster goes on and the watch tells.
                cluster.step()
                fed.feed.see(cluster.news[-1][0], deleted=cluster.news[-1][1])
            fed.feed.replace(RESOURCES[kind], None, pages, str(version))
    for kind, resource in RESOURCES.items():
        fed.feed.replace(resource, None, cluster.listing(kind), str(cluster.version))
    assert views(fed.store) == rebuilt(cluster.content)
    assert {(*key,): fed.feed.version(*key) for key in cluster.content} == {
        key: obj["metadata"]["resourceVersion"] for key, obj in cluster.content.items()
    }
    # News that are as late as can be change nothing any more.
    for old, gone in late:
        fed.feed.see(old, deleted=gone)
    assert views(fed.store) == rebuilt(cluster.content)
    # A second list of the same finds nothing, and nothing is remembered of what is gone.
    assert [
        fed.feed.replace(RESOURCES[kind], None, cluster.listing(kind), str(cluster.version)) for kind in RESOURCES
    ] == [0] * len(RESOURCES)
    assert fed.feed._gone == {}


@pytest.mark.parametrize("seed", range(10))
def test_without_losses_the_store_follows_every_single_step(seed: int) -> None:
    cluster, fed = Cluster(seed), Fed()
    for _ in range(200):
        cluster.step()
        obj, deleted = cluster.news[-1]
        before = views(fed.store)
        fed.feed.see(obj, deleted=deleted)
        assert views(fed.store) == rebuilt(cluster.content)
        if fed.marked():
            assert views(fed.store) != before
