"""What was found at LangSmith becomes conditions: which count towards Ready, and what outlives a restart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway_telemetry.api.conditions import Finding, bad, good, unknown
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.plan import proof as proofs
from gateway_telemetry.plan.proof import Connection, GatewayProof, Seen, TargetProof
from gateway_telemetry.plan.status import gateway_status, target_status
from tests.unit.plan.build import NS, World, finding, gateway, one_gateway, secret, target

NOW = "2026-01-03T00:00:00Z"
LATER = "2026-01-04T00:00:00Z"
HELD = (
    good("Reachable", Reason.REACHABLE),
    good("Authenticated", Reason.AUTHENTICATED),
    good("Ingesting", Reason.INGESTED),
)
DELIVERED = GatewayProof(
    good("Producing", Reason.TRACES_SEEN),
    good("Delivered", Reason.DELIVERED),
    Seen("2026-01-03T00:00:07Z", "checkout", "https://eu.smith.langchain.com/r"),
)


def world() -> World:
    return World(target(), secret())


def ready(findings: tuple[Finding, ...], uncounted: frozenset[str] = frozenset()) -> tuple[str, str, set[str]]:
    """Return status and reason of a target's Ready, and which of Stalled and Reconciling there are."""
    here = world()
    view, result = here.store.targets[NS, "langsmith"], here.resolve()
    status = target_status(view, result, NOW, TargetProof(findings, "abc", uncounted))
    found = {item["type"]: item for item in status["conditions"]}
    summary = found["Ready"]
    return summary["status"], summary["reason"], found.keys() & {"Stalled", "Reconciling"}


def swapped(new: Finding) -> tuple[Finding, ...]:
    return tuple(new if item.type == new.type else item for item in HELD)


def test_all_that_holds_makes_a_target_ready() -> None:
    assert ready(HELD) == ("True", "Ready", set())


@pytest.mark.parametrize(
    "reason",
    [Reason.NOT_VERIFIED, Reason.CANARY_OFF, Reason.NO_READ_KEY, Reason.NO_PROJECT],
)
def test_what_the_user_leaves_unknown_does_not_count(reason: Reason) -> None:
    assert ready(swapped(unknown("Ingesting", reason))) == ("True", "Ready", set())


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (bad("Authenticated", Reason.KEY_REJECTED), ("False", "KeyRejected", {"Stalled"})),
        (bad("Ingesting", Reason.NOT_VISIBLE), ("False", "NotVisible", {"Stalled"})),
        (bad("Reachable", Reason.SERVER_ERROR), ("False", "ServerError", {"Reconciling"})),
        (unknown("Reachable", Reason.DNS_UNAVAILABLE), ("Unknown", "DNSUnavailable", set())),
        (unknown("Ingesting", Reason.PENDING), ("Unknown", "Pending", {"Reconciling"})),
    ],
)
def test_what_does_not_hold_counts(new: Finding, expected: tuple[str, str, set[str]]) -> None:
    assert ready(swapped(new)) == expected


def test_a_first_failed_canary_is_told_and_does_not_count() -> None:
    found = swapped(bad("Ingesting", Reason.NOT_VISIBLE))
    assert ready(found, frozenset({"Ingesting"})) == ("True", "Ready", set())


def test_a_target_that_cannot_be_resolved_stays_that() -> None:
    here = World(target())
    view, result = here.store.targets[NS, "langsmith"], here.resolve()
    status = target_status(view, result, NOW, proofs.nothing_known("Accepted and ResolvedRefs must hold first."))
    found = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert found["Ready"] == ("False", "SecretNotFound")
    assert found["Ingesting"] == ("Unknown", "Pending")
    assert "proof" not in status


def stored(status: dict[str, Any]) -> World:
    here = world()
    here.put({**here.objects["LangSmithTarget", NS, "langsmith"], "status": status})
    return here


def test_verdicts_outlive_a_restart_only_with_the_same_settings() -> None:
    here = world()
    view, result = here.store.targets[NS, "langsmith"], here.resolve()
    assert result.resolved is not None
    hash_ = proofs.target_hash(view, result.resolved)
    canary = {"time": NOW, "runUrl": "https://eu.smith.langchain.com/r"}
    project = {"id": "1", "name": "checkout", "workspaceId": "2"}
    known = TargetProof(HELD, hash_, frozenset(), "0.17.12", project, canary)
    status = target_status(view, result, NOW, known)
    assert status["proof"] == {
        "hash": hash_,
        "server": {"version": "0.17.12"},
        "project": project,
        "canary": canary,
    }
    again = stored(status).store.targets[NS, "langsmith"]
    assert proofs.remembered(again, hash_) == known
    assert proofs.remembered(again, "another") is None


def test_the_hash_follows_keys_and_trust() -> None:
    here = world()
    view, resolved = here.store.targets[NS, "langsmith"], here.resolve().resolved
    assert resolved is not None
    changed = [
        resolved,
        replace(resolved, key="lsv2_sk_another"),
        replace(resolved, read_key="lsv2_sk_another"),
        replace(resolved, ca_pem="another"),
    ]
    assert len({proofs.target_hash(view, item) for item in changed}) == 4


def judged(proof: GatewayProof, *, suspended: bool = False) -> dict[str, Any]:
    here = one_gateway(view=gateway(suspend=suspended))
    here.carry_out()
    view = here.store.gateways[NS, "checkout"]
    return gateway_status(view, here.plan(), NOW, proof, NOW)


def test_a_gateway_whose_traces_arrive() -> None:
    status = judged(DELIVERED)
    found = {item["type"]: (item["status"], item["reason"]) for item in status["conditions"]}
    assert found["Ready"] == ("True", "Ready")
    assert found["Delivered"] == ("True", "Delivered")
    assert found["Producing"] == ("True", "TracesSeen")
    assert status["evidence"] == {
        "lastTraceTime": "2026-01-03T00:00:07Z",
        "project": "checkout",
        "runUrl": "https://eu.smith.langchain.com/r",
    }
    assert status["traces"]["since"] == NOW
    assert len(status["traces"]["hash"]) == 12


def test_traces_elsewhere_lower_ready_and_no_traffic_does_not() -> None:
    lost = replace(DELIVERED, delivered=bad("Delivered", Reason.WRONG_PROJECT))
    found = {item["type"]: (item["status"], item["reason"]) for item in judged(lost)["conditions"]}
    assert found["Ready"] == ("False", "WrongProject")
    quiet = replace(DELIVERED, delivered=unknown("Delivered", Reason.NO_TRAFFIC))
    found = {item["type"]: (item["status"], item["reason"]) for item in judged(quiet)["conditions"]}
    assert found["Ready"] == ("True", "Ready")


CONNECTION = Connection((NS, "langsmith"), "checkout", "abc", "stamp")


def view_with(status: dict[str, Any]) -> Any:
    here = one_gateway()
    return replace(here.store.gateways[NS, "checkout"], status=status)


def test_since_holds_while_the_connection_is_the_same() -> None:
    running = view_with({"traces": {"hash": "abc", "since": NOW}})
    # A scaled Deployment is not Programmed for a moment, and its old traces still speak of its settings.
    assert proofs.since(running, CONNECTION, programmed=False, now=LATER) == NOW
    changed = replace(CONNECTION, hash="def")
    assert proofs.since(running, changed, programmed=False, now=LATER) is None
    assert proofs.since(running, changed, programmed=True, now=LATER) == LATER


def test_before_the_first_read() -> None:
    evidence = {"lastTraceTime": NOW, "project": "checkout"}
    conditions = [
        {"type": item.type, "status": item.status, "reason": str(item.reason), "message": item.message}
        for item in (DELIVERED.producing, DELIVERED.delivered)
    ]
    new = view_with({})
    assert finding_of(proofs.before_reading(new, CONNECTION, None)) == ("Unknown", Reason.PENDING)
    assert finding_of(proofs.before_reading(new, CONNECTION, NOW)) == ("Unknown", Reason.PENDING)
    unstamped = replace(CONNECTION, stamp=None)
    assert finding_of(proofs.before_reading(new, unstamped, NOW)) == ("Unknown", Reason.NOT_STAMPED)
    known = view_with({"traces": {"hash": "abc", "since": NOW}, "evidence": evidence, "conditions": conditions})
    assert finding_of(proofs.before_reading(known, CONNECTION, NOW)) == ("True", Reason.DELIVERED)
    # Pods are being replaced: what old ones sent says nothing about the new ones.
    changed = replace(CONNECTION, hash="def")
    assert finding_of(proofs.before_reading(known, changed, None)) == ("Unknown", Reason.OLD_CONFIG)
    assert finding_of(proofs.before_reading(known, changed, LATER)) == ("Unknown", Reason.PENDING)


def finding_of(proof: GatewayProof) -> tuple[str, Reason]:
    return proof.delivered.status, proof.delivered.reason


def test_producing_follows_what_was_read() -> None:
    first = proofs.without_reading(Reason.PENDING)
    assert (first.producing.status, first.producing.reason) == ("Unknown", Reason.NO_SIGNAL)
    seen = Seen(NOW, "checkout", None)
    arrived = proofs.read(good("Delivered", Reason.DELIVERED), seen, first)
    assert (arrived.producing.reason, arrived.seen) == (Reason.TRACES_SEEN, seen)
    failed = proofs.read(unknown("Delivered", Reason.READ_BACK_FAILED), None, arrived)
    assert (failed.producing.reason, failed.seen) == (Reason.TRACES_SEEN, seen)
    quiet = proofs.read(unknown("Delivered", Reason.NO_TRAFFIC), None, arrived)
    assert (quiet.producing.reason, quiet.seen) == (Reason.NO_SIGNAL, seen)


def test_the_connection_of_a_plan() -> None:
    here = one_gateway()
    connection = here.plan().connection
    assert connection is not None
    assert (connection.target, connection.project) == ((NS, "langsmith"), "checkout")
    assert connection.stamp is not None
    assert len(connection.stamp) == 12
    assert finding(here.plan().findings, "Delivered").reason is Reason.NOT_VERIFIED
