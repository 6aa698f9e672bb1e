"""The client of a control plane: what each answer means, and what no message ever repeats."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import control_plane as parsed
from gateway_telemetry.plan.control_plane import Observed
from gateway_telemetry.plan.tenant_access import Access
from gateway_telemetry.truefoundry import ControlPlaneClient, Trouble
from tests.support.langsmith import CertificateAuthority
from tests.support.truefoundry import CONFIG, KEY, TENANT, ControlPlane, Fault
from tests.unit.truefoundry.test_standin import MANIFEST


def client(
    control_plane: ControlPlane,
    ca: CertificateAuthority,
    key: str = KEY,
    *,
    loopback: bool = True,
    trusted: bool = True,
) -> ControlPlaneClient:
    access = Access(parsed(control_plane.url), key, ca.bundle.read_text() if trusted else None)
    return ControlPlaneClient(access, allow_loopback=loopback)


async def trouble(api: ControlPlaneClient) -> Trouble:
    with pytest.raises(Trouble) as caught:
        async with api:
            await api.read()
    assert caught.value.__context__ is None
    assert "marked4711" not in repr(caught.value) + caught.value.message
    return caught.value


async def test_write_read_and_delete(control_plane: ControlPlane, ca: CertificateAuthority) -> None:
    async with client(control_plane, ca) as api:
        assert await api.read() == Observed(None, None)
        assert await api.apply({"type": "gateway-otel-config"}, dry_run=True) == TENANT
        assert control_plane.objects == {}
        assert await api.apply(MANIFEST) == TENANT
        assert await api.read() == Observed(TENANT, MANIFEST)
        await api.delete()
        assert await api.read() == Observed(None, None)
        await api.delete()
    first = control_plane.requests[0]
    assert (first.method, first.path, first.key) == ("GET", CONFIG, KEY)


MARK = b'{"message": "body-marked4711"}'
HTML = {"content-type": "text/html"}


@pytest.mark.parametrize(
    ("fault", "reason", "text", "wait"),
    [
        (Fault(401, MARK), Reason.CONTROL_PLANE_KEY_REJECTED, "does not know its key (401)", None),
        (Fault(403, MARK), Reason.CONTROL_PLANE_KEY_REJECTED, "does not let its key do that (403)", None),
        (Fault(429, MARK, {"retry-after": "7"}), Reason.CONTROL_PLANE_UNAVAILABLE, "is overloaded (429)", 7.0),
        (Fault(429, MARK), Reason.CONTROL_PLANE_UNAVAILABLE, "is overloaded (429)", 30.0),
        (Fault(503, MARK, {"retry-after": "9"}), Reason.CONTROL_PLANE_UNAVAILABLE, "fails (503)", 9.0),
        (Fault(500, MARK), Reason.CONTROL_PLANE_UNAVAILABLE, "fails (500)", None),
        (
            Fault(302, MARK, {"location": "https://body-marked4711.example.com/"}),
            Reason.CONTROL_PLANE_REFUSED,
            "redirects (302), which is not followed with a key",
            None,
        ),
        (Fault(422, MARK), Reason.CONTROL_PLANE_REFUSED, "does not take the settings (422)", None),
        (Fault(404, b"<html>marked4711", HTML), Reason.CONTROL_PLANE_REFUSED, "is not TrueFoundry's API", None),
        (Fault(200, b"<html>marked4711", HTML), Reason.CONTROL_PLANE_REFUSED, "(status 200, text/html)", None),
        (Fault(200, b'["marked4711"]'), Reason.CONTROL_PLANE_REFUSED, "is not TrueFoundry's API", None),
        (Fault(200, b'{"tenantName": "acme"}'), Reason.CONTROL_PLANE_REFUSED, "is not TrueFoundry's API", None),
        (
            Fault(200, b'{"tenantName": "acme", "manifest": {"type": "rate-limiting-marked4711"}}'),
            Reason.CONTROL_PLANE_REFUSED,
            "is not TrueFoundry's API",
            None,
        ),
        (
            Fault(200, b'{"tenantName": "acme", "manifest": {"a": "' + b"x" * (1 << 20) + b'"}}'),
            Reason.CONTROL_PLANE_REFUSED,
            "is not TrueFoundry's API",
            None,
        ),
    ],
)
async def test_what_an_answer_means(
    control_plane: ControlPlane,
    ca: CertificateAuthority,
    fault: Fault,
    reason: Reason,
    text: str,
    wait: float | None,
) -> None:
    control_plane.down = fault
    found = await trouble(client(control_plane, ca))
    assert found.reason is reason
    assert text in found.message
    assert found.retry_after == wait
    assert len(control_plane.requests) == 1


@pytest.mark.parametrize("body", [b"", b"null"])
async def test_an_empty_answer_is_no_object(control_plane: ControlPlane, ca: CertificateAuthority, body: bytes) -> None:
    control_plane.down = Fault(200, body)
    async with client(control_plane, ca) as api:
        assert await api.read() == Observed(None, None)


async def test_an_apply_that_finds_no_such_route_is_refused(
    control_plane: ControlPlane, ca: CertificateAuthority
) -> None:
    control_plane.down = Fault(404)
    async with client(control_plane, ca) as api:
        with pytest.raises(Trouble) as caught:
            await api.apply(MANIFEST)
    assert caught.value.reason is Reason.CONTROL_PLANE_REFUSED


async def test_a_wrong_key_is_not_repeated(control_plane: ControlPlane, ca: CertificateAuthority) -> None:
    found = await trouble(client(control_plane, ca, "tfy-wrong-marked4711"))
    assert found.reason is Reason.CONTROL_PLANE_KEY_REJECTED


async def test_a_certificate_that_is_not_trusted(control_plane: ControlPlane, ca: CertificateAuthority) -> None:
    found = await trouble(client(control_plane, ca, trusted=False))
    assert found.reason is Reason.CONTROL_PLANE_UNAVAILABLE
    assert "TLSUntrusted" in found.message
    assert control_plane.requests == []


async def test_loopback_is_refused_without_the_flag(control_plane: ControlPlane, ca: CertificateAuthority) -> None:
    found = await trouble(client(control_plane, ca, loopback=False))
    assert found.reason is Reason.CONTROL_PLANE_UNAVAILABLE
    assert "resolves to 127.0.0.1, which is loopback" in found.message
    assert control_plane.requests == []


async def test_nobody_listens(ca: CertificateAuthority) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        access = Access(parsed(f"https://127.0.0.1:{bound.getsockname()[1]}"), KEY, None)
        found = await trouble(ControlPlaneClient(access, allow_loopback=True))
    assert found.reason is Reason.CONTROL_PLANE_UNAVAILABLE
    assert "refuses connections (ConnectionRefused)" in found.message


def test_nothing_shows_the_key(ca: CertificateAuthority) -> None:
    access: Any = Access(parsed("https://acme.truefoundry.cloud"), "tfy-marked4711", None)
    assert "marked4711" not in repr(access)
    assert "marked4711" not in repr(vars(ControlPlaneClient(access))["_access"])
