"""The adapter that docs/adapters.md shows works as it stands there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

from gateway_telemetry.adapters import Adapter, EnvVar, Seen
from tests.unit.adapters.contexts import PEM, context

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "adapters.md").read_text(encoding="utf-8")
IMPORTS = """
from __future__ import annotations
from gateway_telemetry.adapters import Adapter, Context, EnvVar, Forbidden, Page, Seen, Settings, otel
from gateway_telemetry.api.reasons import Reason
"""


def test_the_example_is_an_adapter(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    module = tmp_path / "example.py"
    module.write_text(IMPORTS + block, encoding="utf-8")
    adapter: Adapter = runpy.run_path(str(module))["Example"]()
    asked = context("otel-sdk", ca_pem=PEM)
    assert (adapter.type, adapter.container) == ("example", "example")
    assert adapter.settings(asked).env[:3] == (
        EnvVar("EXAMPLE_TRACING", "on"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://eu.api.smith.langchain.com/otel/v1/traces"),
        EnvVar("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf"),
    )
    assert [rule.name for rule in adapter.forbidden(asked)][-1] == "EXAMPLE_OTLP_URL"
    assert adapter.advice(Seen()) == []
