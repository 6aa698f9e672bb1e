"""The real operator as a process of its own, as the chart's Deployment would start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import httpx
from hack.cluster import free_ports

from tests.support.account import chart_account, grant_lease
from tests.support.cluster import make_namespace
from tests.support.kube import Kube, NotInTime, wait

PROGRAM = Path(sys.executable).with_name("gateway-telemetry")
START_SECONDS = 90.0
STOP_SECONDS = 20.0


class OperatorProcess:
    """``gateway-telemetry operator`` against a kubeconfig; ready when the block is entered.

    Args:
        kubeconfig: of an admin, in whose cluster it runs as the chart's ServiceAccount, or with a token, which it uses.
        folder: where its log goes.
        arguments: further flags.
        env: added to the environment.
        ready: whether entering waits for readiness.
        verify: whether it looks at LangSmith; most tests' targets name one that this machine cannot reach.
        within: command that becomes the operator, such as one that changes its view of the machine.
    """

    def __init__(
        self,
        kubeconfig: Path,
        folder: Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        ready: bool = True,
        verify: bool = False,
        within: Sequence[str] = (),
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._kubeconfig = kubeconfig
        self._arguments = (*arguments, "--verify" if verify else "--no-verify")
        self._env = dict(env or {})
        self._wait_ready = ready
        self._within = tuple(within)
        self.log_file = folder / "operator.log"
        self.port, metrics = free_ports(2)
        self._metrics = f"http://127.0.0.1:{metrics}/metrics"
        self._addresses = (
            f"--health-address=127.0.0.1:{self.port}",
            f"--metrics-address=127.0.0.1:{metrics}",
        )
        self.process: subprocess.Popen[bytes] | None = None
        # One client: each has TLS contexts, which take longer to make than an answer takes to come. No connection
        # is kept, as the operator may be another one next time.
        self._http = httpx.Client(timeout=5, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, or start it again."""
        grant_lease(self._kubeconfig, self._arguments)
        account = chart_account(self._kubeconfig)
        flags = ("--kubeconfig", str(account), *self._addresses, *self._arguments)
        command = [*self._within, str(PROGRAM), "operator", *flags]
        env = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "POD_NAMESPACE")}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, env=env | {"PYTHONWARNINGS": "error"} | self._env
            )
        if self._wait_ready:
            try:
                wait("the operator is ready", self.ready, START_SECONDS)
            except NotInTime as error:
                self.stop()
                raise NotInTime(f"{error}\n{self.log()[-4000:]}") from None

    def ready(self) -> bool:
        """Tell whether it says that it is ready; fails when it has ended."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"the operator ended with {self.process.returncode}:\n{self.log()[-4000:]}")
        return self._http.get(f"http://127.0.0.1:{self.port}/readyz", timeout=2).status_code == 200

    def stop(self) -> int | None:
        """Ask it to stop, and return its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int | None:
        """End it in the middle of whatever it does."""
        return self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> int | None:
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"it did not stop within {STOP_SECONDS} s:\n{self.log()[-4000:]}") from None
        return self.process.returncode

    def log(self) -> str:
        """Return all that it has logged."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def metrics(self, *names: str) -> dict[str, float]:
        """Return the samples of /metrics by name and labels, as written; all, or those of the names."""
        query = {"name[]": list(names)} if names else None
        text = self._http.get(self._metrics, params=query).raise_for_status().text
        pairs = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


@dataclass
class Watching:
    """A running operator and namespaces that it watches, each given to one test.

    An operator of its own for each test would take most of the tests' time.
    """

    process: OperatorProcess
    free: list[str]

    def namespace(self) -> str:
        """Return a namespace that no other test was given."""
        assert self.free, "the module's operator watches too few namespaces"
        return self.free.pop()

    def writes(self) -> float:
        """Return how many writes the operator has sent."""
        return self.process.metrics()["gateway_telemetry_api_writes_total"]

    def reconciles(self) -> float:
        """Return how many GatewayTelemetries were looked at, each as often as that happened."""
        name = 'gateway_telemetry_reconciles_total{kind="GatewayTelemetry"'
        return sum(value for key, value in self.process.metrics().items() if key.startswith(name))


@contextmanager
def watching(
    kube: Kube, kubeconfig: Path, folder: Path, count: int, *flags: str, verify: bool = False
) -> Iterator[Watching]:
    """Run an operator over so many new namespaces; their deletion at the end is not waited for."""
    names = [make_namespace(kube) for _ in range(count)]
    try:
        namespaces = (f"--watch-namespace={name}" for name in names)
        with OperatorProcess(kubeconfig, folder, *namespaces, *flags, verify=verify) as process:
            yield Watching(process, list(reversed(names)))
    finally:
        for name in names:
            kube.delete("namespace", None, name)
