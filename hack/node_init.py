"""First process of a test node's namespaces: takes what others leave behind, and with its end all of them end.

Standard library only: it runs before anything else in there.
"""

from __future__ import annotations

import contextlib
import os
import signal


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def main() -> None:
    """Wait until killed."""
    signal.signal(signal.SIGCHLD, _reap)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
