"""A status is replaced as a whole, also what lies deeper in it."""

from __future__ import annotations

from gateway_telemetry.control.writes import replacing


def test_what_is_gone_is_removed_at_every_depth() -> None:
    old = {"proof": {"hash": "a", "canary": {"time": "t", "runUrl": "u"}}, "traces": {"hash": "b"}, "conditions": [1]}
    new = {"proof": {"hash": "c", "canary": {"time": "t"}}, "traces": "none", "conditions": [2], "server": {"a": 1}}
    assert replacing(old, new) == {
        "proof": {"hash": "c", "canary": {"time": "t", "runUrl": None}},
        "traces": "none",
        "conditions": [2],
        "server": {"a": 1},
    }
    assert replacing(old, {}) == {"proof": None, "traces": None, "conditions": None}
