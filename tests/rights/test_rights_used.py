"""The chart grants what the cluster tier was seen to use, and nothing else.

Run by ``make test-cluster`` when the tier is through; it reads what the audit logs of all its clusters told.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gateway_telemetry.control.feed import WATCHED_CLUSTERWIDE
from tests.support.account import rbac
from tests.support.audit import FOLDER_VARIABLE, Asked, gathered, granted


@pytest.fixture(scope="module")
def asked() -> set[Asked]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        pytest.skip("make test-cluster gathers the audit logs that this compares with the chart's roles")
    found = gathered(Path(folder))
    assert found, f"no audit log was gathered in {folder}"
    return found


def test_no_right_is_missing(asked: set[Asked]) -> None:
    # An API server that has just started refuses for a moment what its roles allow: it has not read them yet.
    assert [item for item in sorted(asked) if not item.allowed and replace(item, allowed=True) not in asked] == []


def test_no_right_is_unused(asked: set[Asked]) -> None:
    used = {(item.verb, item.group, item.resource) for item in asked}
    roles = granted(rule for item in rbac() for rule in item.get("rules", ()))
    assert roles - used == set()


def test_only_what_is_watched_is_asked_for_across_namespaces(asked: set[Asked]) -> None:
    """So a Role in each namespace is enough where the operator watches named ones."""
    watched = {(item.resource.group, item.resource.plural) for item in WATCHED_CLUSTERWIDE}
    across = {item for item in asked if item.everywhere}
    assert {item for item in across if (item.group, item.resource) not in watched} == set()
    assert {item.verb for item in across} == {"list", "watch"}
