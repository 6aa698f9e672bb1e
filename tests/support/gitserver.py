"""Git repositories on loopback, served by Git's own smart-HTTP program.

Flux's source-controller speaks smart HTTP and SSH only, so plain files over HTTP would not do;
https://git-scm.com/docs/git-http-backend.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

_IDENTITY = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
_BRANCH = "main"


def _git(*arguments: str, cwd: Path) -> str:
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"git {' '.join(arguments)}\n{done.stderr}"
    return done.stdout.strip()


class GitServer:
    """Bare repositories below a folder, read-only over HTTP while the block lasts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._folder.mkdir(parents=True, exist_ok=True)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(folder))
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)

    def __enter__(self) -> GitServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def url(self, name: str) -> str:
        """Return what a client clones."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/{name}.git"

    def commit(self, name: str, fill: Callable[[Path], None]) -> str:
        """Replace all files of a repository in one commit on ``main``; the repository is made if it is not there.

        Args:
            fill: writes the files into the folder that it is given.

        Returns:
            The commit's hash; that of the last commit if the files are the same.
        """
        bare = self._folder / f"{name}.git"
        if not bare.exists():
            bare.mkdir()
            _git("init", "--quiet", "--bare", f"--initial-branch={_BRANCH}", cwd=bare)
        with tempfile.TemporaryDirectory(prefix="git-") as text:
            tree = Path(text) / "tree"
            tree.mkdir()
            fill(tree)
            at = (f"--git-dir={bare}", f"--work-tree={tree}", *_IDENTITY)
            _git(*at, "add", "--all", cwd=tree)
            if _git(*at, "status", "--porcelain", "--untracked-files=no", cwd=tree):
                _git(*at, "commit", "--quiet", "--message=change", cwd=tree)
        return _git("rev-parse", _BRANCH, cwd=bare)


def _handler(folder: Path) -> type[BaseHTTPRequestHandler]:
    backend = Path(_git("--exec-path", cwd=folder)) / "git-http-backend"
    assert backend.exists(), f"{backend} is missing: install Git with its HTTP backend"
    path = os.environ.get("PATH", os.defpath)

    class Handler(BaseHTTPRequestHandler):
        """One request is one run of the program, as CGI has it (RFC 3875)."""

        def do_GET(self) -> None:
            self._run()

        def do_POST(self) -> None:
            self._run()

        def _run(self) -> None:
            name, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            env = {
                "PATH": path,
                "GIT_PROJECT_ROOT": str(folder),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_CONFIG_GLOBAL": os.devnull,
                "GIT_CONFIG_NOSYSTEM": "1",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "REQUEST_METHOD": self.command,
                "PATH_INFO": name,
                "QUERY_STRING": query,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "REMOTE_ADDR": "127.0.0.1",
            }
            done = subprocess.run([backend], input=body, env=env, capture_output=True, check=False)
            head, _, answer = done.stdout.partition(b"\r\n\r\n")
            headers = [line.partition(": ")[::2] for line in head.decode().split("\r\n") if line]
            status = next((value for name, value in headers if name == "Status"), "200" if headers else "500")
            self.send_response(int(status.split()[0]))
            for name, value in headers:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 the base class calls it so
            """Say nothing: pytest would show it as the test's own output."""

    return Handler
