"""A control plane behind TLS."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.langsmith import CertificateAuthority
from tests.support.truefoundry import ControlPlane


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def control_plane(ca: CertificateAuthority) -> Iterator[ControlPlane]:
    with ControlPlane(ca.server("127.0.0.1")) as found:
        yield found
