"""Adapter otel-collector: one exporter of an OpenTelemetry Collector, and its name in pipelines of traces.

``traces_endpoint`` is used verbatim; ``endpoint`` would get ``/v1/traces`` appended a second time. The key is a
variable, so it stands in no configuration. A ``$`` in a value is written ``$$``, since the Collector expands
``${env:NAME}`` everywhere (https://opentelemetry.io/docs/collector/configuration/#environment-variables). ``ca_file``
replaces the system's roots unless those are asked for, and is read again by itself.

Source: exporter/otlphttpexporter and config/configtls of the Collector 0.161.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from gateway_telemetry.adapters.base import API_KEY, CA_DIRECTORY, CA_KEY, Context, EnvVar, Forbidden, Page, Settings
from gateway_telemetry.adapters.edits import Edit, Path, entry, member
from gateway_telemetry.adapters.refusals import ascii_project, no_capture_switch, no_resource_attributes
from gateway_telemetry.adapters.resource import Place, ResourceAdapter
from gateway_telemetry.api.gateway_types import OtelCollectorOptions

VARIABLE = "GATEWAY_TELEMETRY_API_KEY"
NAME = "gateway-telemetry"
"""Behind the component: names the exporter; https://opentelemetry.io/docs/collector/configuration/#basics."""
_ROOT: dict[str, Path] = {"ConfigMap": (), "OpenTelemetryCollector": ("spec", "config")}


class OtelCollector(ResourceAdapter):
    """An OTLP exporter over HTTP."""

    type = "otel-collector"
    evidence = "None"
    controller = "the OpenTelemetry operator"
    places: ClassVar[Mapping[str, Place]] = {
        "OpenTelemetryCollector": Place("otc-container", ("spec", "env"), ("spec", "volumeMounts"), ("spec", "volumes"))
    }
    page = Page(
        title="OpenTelemetry Collector",
        source="https://github.com/open-telemetry/opentelemetry-collector/tree/main/exporter/otlphttpexporter",
        restart="restart of its pods; a changed CA is read within a minute, without one",
        ca="`tls.ca_file` of the exporter, with `include_system_ca_certs_pool`",
        content="not by the exporter: a processor of the pipeline must remove the attributes",
        headers="raw map; `$` is written `$$`",
        notes=(
            "A pipeline named in `gateway.otelCollector.pipelines` must exist, and gets one more exporter; "
            "docs/otel-collector.md shows before and after.",
            "Spans carry no stamp of the gateway: it would reach the pipeline's other exporters too.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        ascii_project(context, "the Collector")
        no_capture_switch(
            context,
            "a Collector's exporter",
            "remove the attributes by a processor of the pipeline, and remove spec.capture",
        )
        no_resource_attributes(
            context,
            "a Collector's exporter",
            "add them by a resource processor of the pipeline, or where the spans are made, and remove them here",
        )
        files = {API_KEY: context.headers.api_key}
        if context.ca_pem is not None:
            files[CA_KEY] = context.ca_pem
        return Settings(
            (EnvVar(VARIABLE, secret_key=API_KEY),), files, mount_ca=context.ca_pem is not None, reloaded=(CA_KEY,)
        )

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()

    def edits(self, context: Context, kind: str) -> tuple[Edit, ...]:
        """See ResourceAdapter.edits."""
        options = context.spec.gateway.otel_collector or OtelCollectorOptions()
        name = f"{options.exporter}/{NAME}"
        root = _ROOT[kind]
        return (
            entry((*root, "exporters", name), _exporter(context)),
            *(member((*root, "service", "pipelines", one, "exporters"), name) for one in options.pipelines),
        )


def _exporter(context: Context) -> dict[str, Any]:
    """Return the exporter; retry and queue are its defaults, written down so that a later default changes nothing."""
    headers = {
        name: f"${{env:{VARIABLE}}}" if value == context.headers.api_key else escaped(value)
        for name, value in context.headers.as_mapping().items()
    }
    exporter: dict[str, Any] = {"traces_endpoint": escaped(context.endpoints.traces), "headers": headers}
    if context.ca_pem is not None:
        exporter["tls"] = {
            "ca_file": f"{CA_DIRECTORY}/{CA_KEY}",
            "include_system_ca_certs_pool": True,
            "reload_interval": "1m",
        }
    exporter["retry_on_failure"] = {
        "enabled": True,
        "initial_interval": "5s",
        "max_interval": "30s",
        "max_elapsed_time": "300s",
    }
    exporter["sending_queue"] = {"enabled": True, "num_consumers": 10, "queue_size": 1000}
    return exporter


def escaped(value: str) -> str:
    """Return a text as it must be written so that the Collector expands nothing in it."""
    return value.replace("$", "$$")
