"""An admin's view of the cluster for tests: small, synchronous, and none of the product's own client code.

A test that judged the product through the product's client would not see that client's mistakes.
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

import httpx
import yaml

Object = dict[str, Any]
Value = TypeVar("Value")

POLL_SECONDS = 0.05
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
_DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


class HasKubeconfig(Protocol):
    """A cluster that can be reached."""

    @property
    def kubeconfig(self) -> Path:
        """File whose current context is the cluster."""


class KubeError(Exception):
    """The API server refused: its HTTP status, machine-readable reason, and message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotInTime(AssertionError):
    """A condition did not come to hold; the text ends with what was seen last."""


@dataclass(frozen=True)
class Resource:
    """A resource as discovery lists it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    names: frozenset[str]

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inner = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return "/".join(filter(None, (f"{root}{inner}/{self.plural}", name, subresource)))


def wait(description: str, check: Callable[[], Value], timeout: float = 60.0) -> Value:
    """Poll until the check returns something true, and return that.

    A refused connection counts as "not yet": the API server may be restarting.

    Args:
        description: what is waited for, as it shall read in the failure.
        check: returns what was seen; falsy means "not yet".
        timeout: in seconds.

    Raises:
        NotInTime: with what the check returned last.
    """
    deadline = time.monotonic() + timeout
    while True:
        last: object
        try:
            found = check()
        except httpx.TransportError as error:
            last = error
        else:
            if found:
                return found
            last = found
        if time.monotonic() > deadline:
            raise NotInTime(f"not within {timeout:g} s: {description}\nlast seen: {_shown(last)}")
        time.sleep(POLL_SECONDS)


def same(expected: object, read: Callable[[], object], description: str, timeout: float = 60.0) -> None:
    """Poll until what is read equals the expected value.

    Raises:
        NotInTime: with what was read last.
    """
    seen: list[object] = [None]

    def check() -> bool:
        seen[0] = read()
        return seen[0] == expected

    try:
        wait(description, check, timeout)
    except NotInTime:
        text = f"not within {timeout:g} s: {description}\nexpected: {_shown(expected)}\nlast seen: {_shown(seen[0])}"
        raise NotInTime(text) from None


def _shown(value: object) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True)
    except TypeError:
        return repr(value)


def condition(item: Object | None, type_: str) -> Object:
    """Return a condition of an object; empty when the object or the condition is not there."""
    found = ((item or {}).get("status") or {}).get("conditions") or ()
    return next((entry for entry in found if entry["type"] == type_), {})


def context_of(kubeconfig: Path) -> tuple[str, Object, Object]:
    """Return name, cluster and user of a kubeconfig's current context."""
    data = yaml.safe_load(kubeconfig.read_text())
    context = next(item["context"] for item in data["contexts"] if item["name"] == data["current-context"])
    cluster = next(item["cluster"] for item in data["clusters"] if item["name"] == context["cluster"])
    user = next(item["user"] for item in data["users"] if item["name"] == context["user"])
    return data["current-context"], cluster, user


def ca_pem(cluster: Mapping[str, Any]) -> str:
    """Return the CA of a kubeconfig's cluster entry."""
    if "certificate-authority-data" in cluster:
        return base64.b64decode(cluster["certificate-authority-data"]).decode()
    return Path(cluster["certificate-authority"]).read_text()


def _tls(cluster: Object, user: Object) -> ssl.SSLContext:
    tls = ssl.create_default_context(cadata=ca_pem(cluster))
    if "client-certificate" in user:
        tls.load_cert_chain(user["client-certificate"], user["client-key"])
    elif "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile() as both:  # made with mode 0600, gone once it is loaded
            both.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            both.write(base64.b64decode(user["client-key-data"]))
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


class Kube:
    """Reads and writes any kind; kinds are named as kubectl takes them (``Deployment``, ``lst``, ``leases``)."""

    def __init__(self, cluster: HasKubeconfig) -> None:
        self.context, entry, user = context_of(cluster.kubeconfig)
        if "exec" in user or "auth-provider" in user:
            raise ValueError(f"context {self.context}: only client certificates and tokens are supported here")
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self.server: str = entry["server"]
        self._http = httpx.Client(
            base_url=self.server, verify=_tls(entry, user), headers=headers, timeout=30.0, trust_env=False
        )
        self._resources: list[Resource] = []

    def __enter__(self) -> Kube:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Send one request and return the answer, whatever its status is."""
        content = None if body is None else json.dumps(body)
        kind = {} if body is None else {"Content-Type": content_type}
        return self._http.request(method, path, content=content, params=params, headers={**kind, **(headers or {})})

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Object:
        """Send one request and return the object of the answer.

        Raises:
            KubeError: the status is not 2xx.
        """
        answer = self.raw(method, path, body, **more)
        if not answer.is_success:
            raise _refusal(answer)
        result: Object = answer.json()
        return result

    def resource(self, name: str) -> Resource:
        """Find a kind by any name that kubectl takes, also ``name.group``; the core group wins.

        Raises:
            LookupError: the server does not serve it.
        """
        for fresh in (False, True):
            if fresh or not self._resources:
                self._resources = list(self._discover())
            for resource in self._resources:
                if name.lower() in resource.names:
                    return resource
        raise LookupError(f"{self.server} serves no {name!r}")

    def _discover(self) -> Iterable[Resource]:
        for root in ("/api", "/apis"):
            for group in self.call("GET", root, headers={"Accept": _DISCOVERY})["items"]:
                name = group["metadata"].get("name", "")
                for entry in group["versions"][0].get("resources", ()):
                    kind = entry["responseKind"]["kind"]
                    short = {entry["resource"], entry.get("singularResource", ""), kind, *entry.get("shortNames", ())}
                    names = {item.lower() for item in short if item}
                    full = frozenset(names | {f"{item}.{name}" for item in names})
                    yield Resource(
                        name,
                        group["versions"][0]["version"],
                        entry["resource"],
                        kind,
                        entry["scope"] == "Namespaced",
                        full,
                    )

    def _of(self, item: Mapping[str, Any]) -> tuple[Resource, str | None, str]:
        group, _, version = str(item["apiVersion"]).rpartition("/")
        found = self.resource(f"{item['kind']}.{group}" if group else item["kind"])
        if found.version != version:
            raise LookupError(f"the server prefers {found.version} of {item['kind']}, not {version}")
        namespace = item["metadata"].get("namespace", "default") if found.namespaced else None
        return found, namespace, item["metadata"].get("name", "")

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """Return an object, None if there is none."""
        answer = self.raw("GET", self.resource(kind).path(namespace, name))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if not answer.is_success:
            raise _refusal(answer)
        result: Object = answer.json()
        return result

    def list(self, kind: str, namespace: str | None = None, labels: str = "") -> list[Object]:
        """Return the objects of a namespace, or of all, that match a label selector."""
        params = {"labelSelector": labels} if labels else None
        items: list[Object] = self.call("GET", self.resource(kind).path(namespace), params=params)["items"]
        return items

    def create(self, item: Mapping[str, Any], *, strict: bool = True, dry_run: bool = False) -> Object:
        """Create an object; unknown fields are refused unless `strict` is off."""
        found, namespace, _ = self._of(item)
        params = {"fieldManager": "test", "fieldValidation": "Strict" if strict else "Ignore"}
        return self.call("POST", found.path(namespace), item, params=params | ({"dryRun": "All"} if dry_run else {}))

    def apply(
        self, item: Mapping[str, Any], manager: str = "test", force: bool = False, subresource: str | None = None
    ) -> Object:
        """Server-side apply."""
        found, namespace, name = self._of(item)
        params = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        path = found.path(namespace, name, subresource)
        return self.call("PATCH", path, item, params=params, content_type=APPLY_PATCH)

    def replace(self, item: Mapping[str, Any], subresource: str | None = None) -> Object:
        """PUT an object as it is, guarded by its resourceVersion if it holds one."""
        found, namespace, name = self._of(item)
        return self.call("PUT", found.path(namespace, name, subresource), item, params={"fieldManager": "test"})

    def merge_patch(
        self, kind: str, namespace: str | None, name: str, patch: Mapping[str, Any], subresource: str | None = None
    ) -> Object:
        path = self.resource(kind).path(namespace, name, subresource)
        return self.call("PATCH", path, patch, params={"fieldManager": "test"}, content_type=MERGE_PATCH)

    def json_patch(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        patch: Iterable[Mapping[str, Any]],
        subresource: str | None = None,
    ) -> Object:
        path = self.resource(kind).path(namespace, name, subresource)
        return self.call("PATCH", path, [*patch], params={"fieldManager": "test"}, content_type=JSON_PATCH)

    def delete(self, kind: str, namespace: str | None, name: str, propagation: str = "Background") -> bool:
        """Ask for the deletion of an object; False if there was none."""
        answer = self.raw(
            "DELETE", self.resource(kind).path(namespace, name), params={"propagationPolicy": propagation}
        )
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        if not answer.is_success:
            raise _refusal(answer)
        return True

    def wait(self, description: str, check: Callable[[], Value], timeout: float = 60.0) -> Value:
        """Poll until the check returns something true (see `wait`)."""
        return wait(description, check, timeout)

    def wait_gone(self, kind: str, namespace: str | None, name: str, timeout: float = 60.0) -> None:
        """Wait until an object is no longer there."""
        same(None, lambda: self.get(kind, namespace, name), f"{kind} {namespace}/{name} is gone", timeout)

    def wait_condition(
        self,
        kind: str,
        namespace: str | None,
        name: str,
        type_: str,
        status: str = "True",
        reason: str | None = None,
        timeout: float = 60.0,
    ) -> Object:
        """Wait until a condition has a status, and a reason if one is given; return the object."""
        seen: list[Object | None] = [None]

        def check() -> Object | None:
            seen[0] = self.get(kind, namespace, name)
            found = condition(seen[0], type_)
            return seen[0] if found.get("status") == status and reason in (None, found.get("reason")) else None

        what = f"{kind} {namespace}/{name} has {type_}={status}" + (f"/{reason}" if reason else "")
        try:
            result = wait(what, check, timeout)
        except NotInTime:
            state = seen[0] and seen[0].get("status")
            raise NotInTime(f"not within {timeout:g} s: {what}\nlast status: {_shown(state)}") from None
        assert result is not None
        return result


def _refusal(answer: httpx.Response) -> KubeError:
    try:
        data = answer.json()
    except ValueError:
        data = {}
    return KubeError(answer.status_code, data.get("reason", ""), data.get("message", answer.text))
