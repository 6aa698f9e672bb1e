"""Command line ``gateway-telemetry``.

Each command's module is imported only when it is run: ``render`` works where no cluster is, and starts without
loading what talks to one.
"""

from __future__ import annotations

import importlib

import click

from gateway_telemetry import __version__

_COMMANDS = {
    "operator": "Run the operator in the foreground.",
    "uninstall": "Stop the operator and put every gateway back as it was.",
    "check": "Send a trace to LangSmith and read it back.",
    "render": "Show what the operator would make of files, with no cluster.",
}
_HIDDEN = {"probe-job"}
"""Commands that the operator runs, not people; left out of the help."""


class _LazyGroup(click.Group):
    """A group whose commands stand in modules of their own name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS and cmd_name not in _HIDDEN:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(importlib.import_module(f"{__name__}.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway-telemetry")
def main() -> None:
    """Own the OpenTelemetry trace export of AI gateways to LangSmith."""
