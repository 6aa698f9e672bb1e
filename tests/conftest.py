"""What holds for every tier."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

CA_OVERRIDES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(scope="session", autouse=True)
def no_machine_wide_ca_overrides() -> Iterator[None]:
    """Both variables win over the CA that an exporter is given, so what a test proved would depend on the machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CA_OVERRIDES:
            patch.delenv(name, raising=False)
        yield
