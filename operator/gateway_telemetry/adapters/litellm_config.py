"""What LiteLLM's config.yaml says of callbacks, where the operator can see it in a ConfigMap."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from gateway_telemetry.adapters.base import Seen

_LISTS = ("callbacks", "success_callback")


def missing_callback(seen: Seen, callback: str) -> list[str]:
    """Return a warning if no config.yaml that can be seen enables the callback."""
    for name, text in sorted(seen.files.items()):
        settings = _settings(text)
        if settings is None:
            continue
        if callback in _callbacks(settings):
            return []
        return [
            f"{name} does not enable the callback that exports, so LiteLLM sends nothing: add litellm_settings: "
            f"{{callbacks: [{callback}]}}"
        ]
    return [
        f"whether LiteLLM's config.yaml enables the callback {callback} is not known: it is in no mounted ConfigMap"
    ]


def _settings(text: str) -> dict[str, Any] | None:
    """Return litellm_settings of a config.yaml, or None if the text is something else."""
    if "model_list" not in text and "litellm_settings" not in text:
        return None
    try:
        config = yaml.load(text, yaml.CSafeLoader)
    except yaml.YAMLError:
        return None
    if not isinstance(config, dict):
        return None
    settings = config.get("litellm_settings")
    return settings if isinstance(settings, dict) else {}


def _callbacks(settings: dict[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        value = settings.get(key)
        yield from (str(item) for item in (value if isinstance(value, list) else [value]))
