"""Adapter apisix: metadata of the plugin `opentelemetry`.

APISIX puts variables into its files (`${{NAME}}`), so the file of the Secret names them and holds no key. A variable
without a default that is not set keeps APISIX from starting, so each has one; a value that reads as a number or boolean
becomes one. The address is used as it is if it has a path. The plugin on a route samples nothing unless it is told to
(sampler always_off), which only the route can say.

Source: apisix/plugins/opentelemetry.lua and apisix/cli/file.lua of https://github.com/apache/apisix.
"""

from __future__ import annotations

from gateway_telemetry.adapters import documents
from gateway_telemetry.adapters.base import Adapter, Context, Forbidden, Page, Seen, Settings
from gateway_telemetry.adapters.refusals import ascii_project, no_private_ca
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem

FILE = "apisix-opentelemetry.yaml"
_NOWHERE = "http://127.0.0.1:4318"
"""The plugin's own default."""


class Apisix(Adapter):
    """The plugin's metadata, and the variables that it names."""

    type = "apisix"
    container = "apisix"
    page = Page(
        title="Apache APISIX, plugin `opentelemetry`",
        source="https://apisix.apache.org/docs/apisix/plugins/opentelemetry/",
        restart="restart of its pods for variables; metadata by the Admin API is used at once",
        ca="none: `ssl_trusted_certificate` is for all of APISIX's connections",
        content="never captured: APISIX's spans are of HTTP requests",
        headers="raw map",
        notes=(
            f"`{FILE}` is one entry of `plugin_metadata` in apisix.yaml; it names variables of the Secret "
            "(`${{GATEWAY_TELEMETRY_API_KEY:=}}`), which the pod takes by `envFrom`.",
            "Each route's plugin needs `sampler: {name: always_on}`: the default is `always_off`.",
            "APISIX counts only the answer 200 as success; LangSmith gives it.",
        ),
    )

    def settings(self, context: Context) -> Settings:
        """See Adapter.settings."""
        no_private_ca(
            context, "APISIX", "add it to apisix.ssl.ssl_trusted_certificate and set spec.gateway.caInstalled: true"
        )
        ascii_project(context, "APISIX")
        name = context.headers.project
        if documents.NUMBER_LIKE.fullmatch(name) or name in ("true", "false"):
            raise EndpointProblem(
                Reason.PROJECT_UNSUPPORTED,
                f"the project's name is {name!r}, which APISIX would turn into a number or boolean: "
                "use a name with other letters",
            )
        env, files = documents.variables(context)
        names = {header: documents.HEADER_VARIABLES[header] for header in context.headers.as_mapping()}
        metadata = {
            "id": "opentelemetry",
            "collector": {
                "address": _named(documents.ENDPOINT, _NOWHERE),
                "request_timeout": 10,
                "request_headers": {header: _named(name) for header, name in names.items()},
            },
            "resource": documents.attributes(context, "apisix"),
        }
        return Settings(tuple(env), {**files, FILE: documents.to_yaml([metadata])}, documents=(FILE,))

    def forbidden(self, context: Context) -> tuple[Forbidden, ...]:
        """See Adapter.forbidden."""
        return ()

    def advice(self, seen: Seen) -> list[str]:
        """See Adapter.advice."""
        return ["routes are traced only where the plugin opentelemetry has sampler: {name: always_on}"]


def _named(variable: str, default: str = "") -> str:
    return f"${{{{{variable}:={default}}}}}"
