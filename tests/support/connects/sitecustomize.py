"""Writes down every address that a Python process connects a socket to: one JSON list per line.

Put on ``PYTHONPATH`` by tests that must know where a process went, also where nobody listens. It sees what Python's
own audit hooks tell (PEP 578), below every library.
"""

import json
import os
import sys
from typing import Any

_LOG = os.open(os.environ["CONNECTS_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        os.write(_LOG, json.dumps(arguments[1][:2]).encode() + b"\n")


sys.addaudithook(_note)
