"""A real process with the environment and the files of a pod, and nothing else of the machine's environment."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from tests.support.pod import Mount, PodError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HOME = "/pod-home"
STOP_SECONDS = 20.0
_HELPER = Path(__file__).with_name("pod_root.py")


def _unshare() -> list[str]:
    command = [shutil.which("unshare") or "unshare", "--mount", "--propagation", "private"]
    return command if os.geteuid() == 0 else [*command, "--map-root-user"]


def unavailable() -> str | None:
    """Return why processes cannot have mount namespaces of their own here, or None if they can."""
    if shutil.which("unshare") is None:
        return "the program 'unshare' (util-linux) is not installed"
    done = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    return f"mount namespaces are not permitted here ({done.stderr.strip()}): run as root or allow user namespaces"


class PodProcess:
    """A program that sees the volumes at their pod paths, in a mount namespace of its own.

    The machine's file system is not changed. The program gets the given environment, ``PATH`` and a temporary ``HOME``
    (both unless given), and ends with the block or with the thread that started it.

    Example:
        >>> env, files = pod_environment(kube, live), pod_files(kube, live)  # doctest: +SKIP
        >>> with PodProcess(
        ...     ["litellm", "--port", "4000"], env, files, log=tmp_path / "log"
        ... ) as process:  # doctest: +SKIP
        ...     process.check()
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], mounts: Sequence[Mount], *, log: Path) -> None:
        self.log = log
        self._command = list(command)
        self._env = dict(env)
        self._mounts = list(mounts)
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    @property
    def pid(self) -> int:
        """Pid of the program, and id of its process group."""
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the process was not started")
        return self._process

    def start(self) -> Self:
        """Start the program.

        Raises:
            PodError: this machine does not permit mount namespaces.
        """
        if problem := unavailable():
            raise PodError(problem)
        self._folder = Path(tempfile.mkdtemp(prefix="pod-"))  # mode 0700: Secrets lie below
        try:
            self._launch(self._folder)
        except BaseException:
            self.stop()
            raise
        return self

    def _launch(self, folder: Path) -> None:
        for name in ("root", "volumes"):
            (folder / name).mkdir()
        spec = folder / "spec.json"
        home = Mount(HOME, {}, read_only=False)
        tree = _tree(folder / "volumes", [*self._mounts, home])
        data = {
            "root": str(folder / "root"),
            "tree": tree,
            "directory": HOME,
            "environment": {"PATH": PATH, "HOME": HOME, **self._env},
            "parent": os.getpid(),
        }
        spec.write_text(json.dumps(data))
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*_unshare(), sys.executable, "-I", "-S", str(_HELPER), str(spec), *self._command],
                env={"PATH": PATH},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raise if the program has ended.

        Raises:
            PodError: with its exit code and the end of its log.
        """
        code = self._running.poll()
        if code is not None:
            raise PodError(f"{Path(self._command[0]).name} ended with exit code {code}\n{self.tail()}")

    def wait(self, timeout: float = 30.0) -> int:
        """Wait for the program's own end and return its exit code."""
        return self._running.wait(timeout)

    def tail(self, lines: int = 20) -> str:
        """Return the end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def stop(self) -> None:
        """End the program and its children, first by SIGTERM, and remove its files."""
        if self._process is not None:
            if self._process.poll() is None:
                self._signal(signal.SIGTERM)
                try:
                    self._process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    self._signal(signal.SIGKILL)
                    self._process.wait()
            self._end_group()
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None

    def _end_group(self) -> None:
        """End children that outlived the program; the group's id stays taken as long as one of them lives."""
        deadline = time.monotonic() + STOP_SECONDS
        while self._signal(signal.SIGKILL):
            if time.monotonic() > deadline:
                raise PodError(f"process group {self.pid} does not end")
            time.sleep(0.02)

    def _signal(self, number: signal.Signals) -> bool:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _tree(volumes: Path, mounts: Sequence[Mount]) -> dict[str, Any]:
    """Write the volumes' files and return where they go, as `pod_root.build` takes it."""
    tree: dict[str, Any] = {}
    for number, mount in enumerate(mounts):
        source = volumes / str(number)
        if "" in mount.files:
            _write(source, mount.files[""].content, mount.files[""].mode)
        else:
            source.mkdir(mode=0o755)
            for name, file in mount.files.items():
                _write(source / name, file.content, file.mode)
        *parents, last = PurePosixPath(mount.path).parts[1:]
        place = tree
        for part in parents:
            place = place.setdefault(part, {})
            if "source" in place:
                raise PodError(f"{mount.path}: a volume inside another volume is not supported")
        if last in place:
            raise PodError(f"{mount.path}: must be unique, and not hold another volume")
        place[last] = {"source": str(source), "read_only": mount.read_only}
    return tree


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
