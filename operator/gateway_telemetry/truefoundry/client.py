"""Three requests of the API: read the tenant's OTEL config, apply it, delete it.

Paths and bodies are those of PyPI ``truefoundry-sdk`` 0.6.0 (``apply``, ``delete``,
``internal.ai_gateway.get_gateway_config``), whose client judges the stand-in of the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway_telemetry.adapters.truefoundry_control_plane import OBJECT_TYPE
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.langsmith import Destination, Failed, Transport
from gateway_telemetry.langsmith.signatures import retry_after
from gateway_telemetry.langsmith.transport import Answer
from gateway_telemetry.plan.control_plane import Observed
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.tenant_access import Access

_CONFIG = f"/api/svc/v1/llm-gateway/config/{OBJECT_TYPE}"
_APPLY = "/api/svc/v1/apply"
_DELETE = "/api/svc/v1/delete"


class Trouble(Refused):
    """A request that did not bring what was asked for; the text repeats no body and no key.

    Attributes:
        retry_after: seconds that the control plane asks to wait, where it did.
    """

    def __init__(self, reason: Reason, message: str, retry_after: float | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class ControlPlaneClient:
    """A client of one control plane with one key; close it after use, or use it as an async context manager.

    Args:
        allow_loopback: developer flag; loopback addresses are refused otherwise, also when DNS gives them.
    """

    def __init__(self, access: Access, *, allow_loopback: bool = False) -> None:
        self._access = access
        self._destination = Destination(access.endpoints, access.api_key, ca_pem=access.ca_pem)
        self._transport = Transport(self._destination, allow_loopback=allow_loopback)

    async def __aenter__(self) -> ControlPlaneClient:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._transport.aclose()

    async def read(self) -> Observed:
        """Return the tenant's OTEL config.

        Raises:
            Trouble: no answer that says so came.
        """
        answer = await self._send("GET", _CONFIG)
        if answer.status == 404 and isinstance(answer.json(), Mapping):
            return Observed(None, None)
        found = self._json(answer)
        if found is None:
            return Observed(None, None)
        manifest = found.get("manifest")
        if not isinstance(found.get("tenantName"), str) or not isinstance(manifest, Mapping):
            raise self._not_it(answer)
        if manifest.get("type") != OBJECT_TYPE:
            raise self._not_it(answer)
        return Observed(found["tenantName"], manifest)

    async def apply(self, manifest: Mapping[str, Any], *, dry_run: bool = False) -> str | None:
        """Write the whole object; return the name of the tenant, where the control plane tells it.

        Raises:
            Trouble: it was not taken, or that is not known.
        """
        answer = await self._send("PUT", _APPLY, {"manifest": manifest, "dryRun": dry_run})
        data = (self._json(answer) or {}).get("data")
        tenant = data.get("tenantName") if isinstance(data, Mapping) else None
        return tenant if isinstance(tenant, str) else None

    async def delete(self) -> None:
        """Delete the object.

        Raises:
            Trouble: it was not deleted, or that is not known.
        """
        answer = await self._send("POST", _DELETE, {"manifest": {"type": OBJECT_TYPE}})
        if answer.status != 404:
            self._json(answer)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        content = None if body is None else json.dumps(body).encode()
        try:
            answer = await self._transport.request(
                method,
                self._access.endpoints.api + path,
                headers={"authorization": f"Bearer {self._access.api_key}", "accept": "application/json"},
                content=content,
                content_type=None if content is None else "application/json",
            )
        except Failed as error:
            failure = error
        else:
            self._check_status(method, answer)
            return answer
        # Outside of the handler, so that nothing hangs on the error's context.
        raise Trouble(
            Reason.CONTROL_PLANE_UNAVAILABLE,
            f"{failure.what or failure.reason} ({failure.reason}): what stands in the control plane stays, and it is "
            "tried again",
        )

    def _check_status(self, method: str, answer: Answer) -> None:
        host, status = self._access.endpoints.host, answer.status
        if status in (401, 403):
            what = "does not know its key" if status == 401 else "does not let its key do that"
            raise Trouble(
                Reason.CONTROL_PLANE_KEY_REJECTED,
                f"{host} {what} ({status}): put a key of a tenant admin, or of a virtual account that may change "
                "gateway settings, into the Secret of spec.install.controlPlane.secretRef",
            )
        if status == 429 or status >= 500:
            what = "is overloaded" if status == 429 else "fails"
            raise Trouble(
                Reason.CONTROL_PLANE_UNAVAILABLE,
                f"{host} {what} ({status}): what stands there stays, and it is tried again",
                retry_after(answer) if "retry-after" in answer.headers or status == 429 else None,
            )
        if 300 <= status < 400:
            raise Trouble(
                Reason.CONTROL_PLANE_REFUSED,
                f"{host} redirects ({status}), which is not followed with a key: write the URL that it leads to into "
                "spec.install.controlPlane.url",
            )
        if status >= 400 and not (status == 404 and method != "PUT"):
            raise Trouble(
                Reason.CONTROL_PLANE_REFUSED,
                f"{host} does not take the settings ({status}): look whether its version knows OTEL configs (chart "
                "0.80 and later)",
            )

    def _json(self, answer: Answer) -> dict[str, Any] | None:
        """Return the object of an answer; None where it is empty.

        Raises:
            Trouble: it is none.
        """
        if answer.status == 204 or (answer.whole and answer.body.strip() in (b"", b"null")):
            return None
        found = answer.json()
        if not isinstance(found, dict) or answer.status >= 400:
            raise self._not_it(answer)
        return found

    def _not_it(self, answer: Answer) -> Trouble:
        host = self._access.endpoints.host
        media_type = self._destination.shown(answer.media_type or "no media type")
        return Trouble(
            Reason.CONTROL_PLANE_REFUSED,
            f"what {host} answers is not TrueFoundry's API (status {answer.status}, {media_type}): check "
            "spec.install.controlPlane.url",
        )
