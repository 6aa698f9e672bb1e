"""The root directory of one process: the machine's own, with volumes at paths that the machine does not have.

Run as a program inside a mount namespace of its own (see `tests.support.pod_process`). The new root is a tmpfs that
holds the machine's directories as bind mounts; only the directories on the way to a volume are made anew, so nothing is
created on the machine. The environment comes in the specification, since Python changes its own (``LC_CTYPE``) when it
starts. Standard library only: it runs before anything of the process it becomes.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

_MS_RDONLY, _MS_NOSUID, _MS_NODEV = 1, 2, 4
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_UNBINDABLE = 1 << 5, 1 << 12, 1 << 14, 1 << 17
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str | None = None, flags: int = 0) -> None:
    """Mount one thing.

    Raises:
        OSError: the kernel refused.
    """
    kind_bytes = kind.encode() if kind else None
    if _LIBC.mount(source.encode(), os.fsencode(target), kind_bytes, ctypes.c_ulong(flags), None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} at {target}: {os.strerror(number)}")


def bind(source: Path, target: Path) -> None:
    """Show a file, directory or symbolic link of the machine at a place in the new root."""
    mode = source.lstat().st_mode
    if stat.S_ISLNK(mode):
        target.symlink_to(source.readlink())
        return
    if stat.S_ISDIR(mode):
        target.mkdir(exist_ok=True)
    else:
        target.touch()
    mount(str(source), target, flags=_MS_BIND | _MS_REC)


def build(host: Path, target: Path, tree: dict[str, Any]) -> None:
    """Fill a directory of the new root.

    Args:
        host: the machine's directory of the same path; need not exist.
        target: directory of the new root.
        tree: by name, a volume (``{"source": …, "read_only": …}``) or the tree of a directory on the way to one.
    """
    if host.is_dir():
        for entry in host.iterdir():
            if entry.name not in tree:
                bind(entry, target / entry.name)
    for name, inner in tree.items():
        place = target / name
        if "source" not in inner:
            place.mkdir(exist_ok=True)
            build(host / name, place, inner)
            continue
        bind(Path(inner["source"]), place)
        if inner["read_only"]:
            # In a user namespace, flags that the source may have must not be dropped: mount_namespaces(7).
            mount("", place, flags=_MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV)


def enter(spec: dict[str, Any]) -> None:
    """Make the new root and go into it."""
    root = Path(spec["root"])
    mount("pod", root, "tmpfs")
    mount("", root, flags=_MS_UNBINDABLE)  # or the directory that it lies in would show it inside itself
    build(Path("/"), root, spec["tree"])
    os.chroot(root)
    os.chdir(spec["directory"])


def main() -> None:
    """Become the program: ``pod_root.py SPEC PROGRAM [ARGUMENT…]``."""
    spec = json.loads(Path(sys.argv[1]).read_text())
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != spec["parent"]:
        sys.exit("the process that wanted this one is gone")
    try:
        enter(spec)
        os.execvpe(sys.argv[2], sys.argv[2:], spec["environment"])  # noqa: S606 there is no shell on purpose
    except OSError as error:
        sys.exit(f"pod: {error}")


if __name__ == "__main__":
    main()
