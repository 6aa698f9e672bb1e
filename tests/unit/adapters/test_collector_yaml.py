"""A Collector's configuration gets one exporter more, and not one other byte changes."""

from __future__ import annotations

import difflib
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway_telemetry.adapters import collector_yaml
from gateway_telemetry.adapters.edits import WrongShape, entry, member

NAME = "otlp_http/gateway-telemetry"
EXPORTER = {"traces_endpoint": "https://h/v1/traces", "headers": {"x-api-key": "${env:KEY}"}}
EDITS = (
    entry(("exporters", NAME), EXPORTER),
    member(("service", "pipelines", "traces", "exporters"), NAME),
)
ADDED = [
    f"  {NAME}:",
    "    traces_endpoint: https://h/v1/traces",
    "    headers:",
    "      x-api-key: ${env:KEY}",
]

PLAIN = """\
# Ask before you touch this.
receivers:
  otlp: {protocols: {http: {}}} # in
exporters:
  # all of it
  debug:
    verbosity: 'basic'   # not more

# what goes where
service:
  pipelines:
    metrics:
      receivers: [otlp]
      exporters: [debug]
    traces:
      receivers: [otlp]
      exporters: [debug]  # one
"""


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """Return the lines that went and those that came."""
    lines = [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]
    return [line[2:] for line in lines if line[0] == "-"], [line[2:] for line in lines if line[0] == "+"]


def test_nothing_but_the_exporter_and_its_name_is_added() -> None:
    after, made = collector_yaml.put(PLAIN, EDITS)
    gone, came = changed(PLAIN, after)
    assert gone == ["      exporters: [debug]  # one"]
    assert came == [*ADDED, f"      exporters: [debug, {NAME}]  # one"]
    assert made == ()
    assert after.index("# what goes where") > after.index(NAME) > after.index("# not more")


def test_it_comes_out_again_byte_by_byte() -> None:
    after, made = collector_yaml.put(PLAIN, EDITS)
    assert collector_yaml.take(after, EDITS, made) == PLAIN


def test_put_twice_is_put_once() -> None:
    once, _ = collector_yaml.put(PLAIN, EDITS)
    twice, _ = collector_yaml.put(once, EDITS)
    assert twice == once


def test_a_changed_exporter_replaces_the_one_before() -> None:
    once, _ = collector_yaml.put(PLAIN, EDITS)
    newer = (entry(("exporters", NAME), {**EXPORTER, "traces_endpoint": "https://other"}), EDITS[1])
    after, _ = collector_yaml.put(once, newer)
    assert changed(once, after) == (
        ["    traces_endpoint: https://h/v1/traces"],
        ["    traces_endpoint: https://other"],
    )


STYLES = {
    "lists below their key": PLAIN.replace("exporters: [debug]  # one", "exporters:\n        - debug # one"),
    "lists at the column of their key": PLAIN.replace("exporters: [debug]  # one", "exporters:\n      - debug # one"),
    "four spaces": "\n".join(" " * (len(line) - len(line.lstrip())) + line for line in PLAIN.splitlines()) + "\n",
    "no newline at the end": PLAIN.rstrip("\n"),
    "a document's start": "---\n" + PLAIN,
    "flow all through": "exporters: {debug: {}}\nservice: {pipelines: {traces: {exporters: [debug]}}}\n",
    "JSON": '{"exporters": {"debug": null}, "service": {"pipelines": {"traces": {"exporters": ["debug"]}}}}',
    "a literal block at the end of a section": PLAIN.replace(
        "verbosity: 'basic'   # not more", "text: |\n      one\n\n      two"
    ),
    "an alias as the last exporter": PLAIN.replace("  debug:\n", "  one: &one {a: 1}\n  debug: *one\n").replace(
        "    verbosity: 'basic'   # not more\n", ""
    ),
    "quoted names": PLAIN.replace("  debug:", '  "debug":').replace(
        "exporters: [debug]  # one", 'exporters: ["debug"]'
    ),
    "the longest list over lines": PLAIN.replace(
        "exporters: [debug]  # one", "exporters: [\n        debug, # one\n      ]"
    ),
    "null in place of exporters": PLAIN.replace(
        "  # all of it\n  debug:\n    verbosity: 'basic'   # not more\n", ""
    ).replace("exporters:\n\n", "exporters: ~\n\n"),
    "umlauts": PLAIN.replace("not more", "größer 🌍"),
}


NOT_THE_SAME = ("null in place of exporters", "no newline at the end")
"""What these were is known from the original alone, which the operator keeps."""


@pytest.mark.parametrize("style", STYLES)
def test_every_style_takes_it_and_gives_it_back(style: str) -> None:
    text = STYLES[style]
    before = yaml.safe_load(text)
    after, made = collector_yaml.put(text, EDITS)
    parsed = yaml.safe_load(after)
    assert parsed["exporters"].pop(NAME) == EXPORTER
    assert parsed["service"]["pipelines"]["traces"]["exporters"].pop() == NAME
    assert parsed["exporters"] == (before["exporters"] or {})
    assert {**parsed, "exporters": before["exporters"]} == before
    back = collector_yaml.take(after, EDITS, made)
    assert yaml.safe_load(back) in (before, {key: value for key, value in before.items() if key != "exporters"})


@pytest.mark.parametrize("style", [name for name in STYLES if name not in NOT_THE_SAME])
def test_nothing_is_left_of_it(style: str) -> None:
    after, made = collector_yaml.put(STYLES[style], EDITS)
    assert collector_yaml.take(after, EDITS, made) == STYLES[style]


def test_only_ours_goes_when_others_came_after_it() -> None:
    after, made = collector_yaml.put(PLAIN, EDITS)
    theirs = after.replace(f"[debug, {NAME}]", f"[debug, {NAME}, zipkin]").replace("service:", "  zipkin: {}\nservice:")
    back = collector_yaml.take(theirs, EDITS, made)
    assert back == PLAIN.replace("exporters: [debug]  # one", "exporters: [debug, zipkin]  # one").replace(
        "service:", "  zipkin: {}\nservice:"
    )


def test_an_exporter_that_somebody_changed_is_theirs() -> None:
    after, made = collector_yaml.put(PLAIN, EDITS)
    theirs = after.replace("https://h/v1/traces", "https://elsewhere/v1/traces")
    back = collector_yaml.take(theirs, EDITS, made)
    assert yaml.safe_load(back)["exporters"][NAME]["traces_endpoint"] == "https://elsewhere/v1/traces"


REFUSED = {
    "service.pipelines.traces is missing": PLAIN.replace("    traces:", "    traces/x:"),
    "it is not a mapping with receivers, exporters and service": "- a\n",
    "service.pipelines.traces.exporters is not a list": PLAIN.replace("exporters: [debug]  # one", "exporters: debug"),
    "service.pipelines.traces.exporters is an alias of another part: write it out": PLAIN.replace(
        "exporters: [debug]\n", "exporters: &all [debug]\n"
    ).replace("exporters: [debug]  # one", "exporters: *all"),
    "it is not valid YAML at line 3, column 2: did not find expected ',' or ']'": "a: [\n  b\nc: d\n",
}


LAUGHS = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefgh")
)
HOSTILE = {
    "it is nested more than 60 levels deep": "a: " + "[" * 500 + "]" * 500,
    "it holds more than 200000 values once its aliases are expanded": LAUGHS,
    "its anchor a refers to itself": "exporters: &a {b: *a}\n",
}


@pytest.mark.parametrize("message", HOSTILE)
def test_what_would_stop_the_operator_is_refused(message: str) -> None:
    with pytest.raises(WrongShape) as caught:
        collector_yaml.read(HOSTILE[message])
    assert str(caught.value) == message


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_added_to_is_refused(message: str) -> None:
    with pytest.raises(WrongShape) as caught:
        collector_yaml.put(REFUSED[message], EDITS)
    assert str(caught.value) == message


def test_a_merge_key_that_would_carry_it_further_is_refused() -> None:
    text = PLAIN.replace("    metrics:\n", "    base: &base\n      receivers: [otlp]\n    metrics:\n      <<: *base\n")
    after, _ = collector_yaml.put(text, EDITS)
    assert yaml.safe_load(after)["service"]["pipelines"]["metrics"]["exporters"] == ["debug"]
    shared = text.replace(
        "    traces:\n      receivers: [otlp]\n      exporters: [debug]  # one\n", "    traces: *base\n"
    )
    with pytest.raises(WrongShape):
        collector_yaml.put(shared, EDITS)


NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z0-9]{1,4})?", fullmatch=True)


@given(
    exporters=st.dictionaries(
        NAMES, st.dictionaries(NAMES, st.text("abc #:'\"é\n", max_size=8), max_size=3), max_size=4
    ),
    used=st.lists(NAMES, max_size=3),
    flow=st.sampled_from([None, False, True]),
    indent=st.integers(2, 6),
)
def test_whatever_the_configuration(
    exporters: dict[str, dict[str, str]], used: list[str], flow: bool | None, indent: int
) -> None:
    config = {
        "exporters": exporters,
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": used}}},
        "receivers": {"otlp": None},
    }
    text = yaml.safe_dump(config, default_flow_style=flow, indent=indent, sort_keys=False, allow_unicode=True)
    after, made = collector_yaml.put(text, EDITS)
    parsed = yaml.safe_load(after)
    assert parsed["exporters"] == {**exporters, NAME: EXPORTER}
    assert parsed["service"]["pipelines"]["traces"]["exporters"] == [*used, NAME]
    back = yaml.safe_load(collector_yaml.take(after, EDITS, made))
    assert (back.get("exporters") or {}) == exporters
    assert (back["service"]["pipelines"]["traces"].get("exporters") or []) == used
