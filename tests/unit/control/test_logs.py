"""Logs: one line each, whatever is in them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest

from gateway_telemetry.control.logs import configure


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    loggers = [root, logging.getLogger("kopf"), logging.getLogger("asyncio")]
    handlers, levels = root.handlers, [item.level for item in loggers]
    yield
    root.handlers = handlers
    for item, level in zip(loggers, levels, strict=True):
        item.setLevel(level)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    told = capsys.readouterr()
    assert told.out == ""
    return [json.loads(line) for line in told.err.splitlines()]


def test_each_record_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    logging.getLogger("gateway_telemetry.x").info("restored %s in %d s", "Deployment shop/ä", 3)
    logging.getLogger("gateway_telemetry.x").warning('two\nlines and "quotes"')
    first, second = lines(capsys)
    assert first == {
        "ts": first["ts"],
        "level": "info",
        "logger": "gateway_telemetry.x",
        "msg": "restored Deployment shop/ä in 3 s",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", first["ts"])
    assert (second["level"], second["msg"]) == ("warning", 'two\nlines and "quotes"')


def test_an_exception_is_part_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        raise ZeroDivisionError("a fault of ours")
    except ZeroDivisionError:
        logging.getLogger("x").exception("it failed")
    (only,) = lines(capsys)
    assert only["msg"] == "it failed"
    assert only["error"].startswith("Traceback (most recent call last):")
    assert only["error"].endswith("ZeroDivisionError: a fault of ours")


def test_text_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text")
    logging.getLogger("gateway_telemetry.x").warning("look at %s", "this")
    assert re.fullmatch(r"[-0-9]+ [:0-9]+,\d{3} WARNING gateway_telemetry\.x: look at this\n", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["kopf info", "kopf warning", "ours debug", "ours info", "ours error"]),
        ("info", ["kopf warning", "ours info", "ours error"]),
        ("error", ["ours error"]),
    ],
)
def test_levels_and_the_chatter_of_kopf(capsys: pytest.CaptureFixture[str], level: str, expected: list[str]) -> None:
    configure(level, "json")
    kopf, ours = logging.getLogger("kopf.objects"), logging.getLogger("gateway_telemetry")
    kopf.info("kopf info")
    kopf.warning("kopf warning")
    ours.debug("ours debug")
    ours.info("ours info")
    ours.error("ours error")
    assert [item["msg"] for item in lines(capsys)] == expected


def test_configuring_twice_does_not_double_the_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    configure("info", "json")
    logging.getLogger("x").info("once")
    assert len(lines(capsys)) == 1


@pytest.mark.parametrize(
    ("level", "logger", "message", "traced"),
    [
        ("info", "kopf._core.reactor.orchestration", "Watcher has failed: 404 page not found", False),
        ("debug", "kopf._core.reactor.orchestration", "Watcher has failed: 404 page not found", True),
        ("info", "asyncio", "Task exception was never retrieved: coro=<guard() at x/kopf/_cogs/aiokits>", False),
        ("info", "asyncio", "Task exception was never retrieved: coro=<resync() at gateway_telemetry/x>", True),
        ("info", "gateway_telemetry.control.queue", "GatewayTelemetry a/b: KeyError", True),
    ],
)
def test_what_ends_a_watch_of_kopf_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], level: str, logger: str, message: str, traced: bool
) -> None:
    configure(level, "json")
    try:
        raise ValueError("404")
    except ValueError:
        logging.getLogger(logger).exception(message)
    (line,) = lines(capsys)
    assert line["msg"] == message
    assert ("error" in line) is traced
