"""Callers of gateways that run as pods: they ask all the time, and every answer they got must become a trace."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import httpx
from hack.image import GATEWAY

from tests.support import node_install, objects
from tests.support.kube import Kube, KubeError, NotInTime, same
from tests.support.langsmith import StandIn
from tests.support.objects import Object

PAUSE_SECONDS = 0.1
PORT = 8080


def gateway(namespace: str, name: str = "gateway", **spec: object) -> list[Object]:
    """Return Deployment and Service of a gateway in small, as its chart would: new pods first, old ones end gently."""
    deployment = node_install.restricted(node_install.gateway_deployment(namespace, name, **spec))
    deployment["spec"]["strategy"] = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == GATEWAY
    container["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": objects.metadata(name, namespace),
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": PORT}]},
    }
    return [deployment, service]


class Traffic:
    """Asks gateways, one after the other, while the block lasts; through their Services, as the API server sees them.

    Attributes:
        answered: ids of the traces of all requests that were answered.
        refused: how many were not, and were asked again, as callers do.
    """

    def __init__(self, kube: Kube, namespace: str, gateways: Sequence[str]) -> None:
        self._kube, self._namespace, self._gateways = kube, namespace, gateways
        self.answered: list[str] = []
        self.refused = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(PAUSE_SECONDS):
            for name in self._gateways:
                self.ask(name)

    def ask(self, name: str, *, flush: bool = False) -> bool:
        """Ask one gateway once; tell whether it answered.

        Args:
            flush: whether to wait until LangSmith has taken all that the pod holds.
        """
        path = f"/api/v1/namespaces/{self._namespace}/services/{name}:{PORT}/proxy/ask"
        parameters = {"prompt": uuid.uuid4().hex} | ({"flush": "1"} if flush else {})
        try:
            answer = self._kube.call("GET", path, params=parameters)
        except (KubeError, httpx.TransportError):
            self.refused += 1
            return False
        self.answered.append(answer["traceId"])
        return True

    def all_arrived(self, langsmith: StandIn, timeout: float = 60.0) -> int:
        """Wait until every answered request is a visible trace; return how many they are.

        Raises:
            NotInTime: some are not; how many of how many is in the text.
        """

        def lost() -> int:
            seen = {record.span.trace_id for record in langsmith.store.spans("visible")}
            return len(set(self.answered) - seen)

        try:
            same(0, lost, "no trace is lost", timeout)
        except NotInTime as error:
            raise NotInTime(f"{error}\nof {len(self.answered)} answered requests") from None
        return len(self.answered)
