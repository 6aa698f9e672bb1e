"""What it takes to talk to one LangSmith: URLs, keys, trust and the workspace that is meant."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field

from gateway_telemetry.endpoint import Endpoints
from gateway_telemetry.endpoint.headers import API_KEY, PROJECT, WORKSPACE

_LONGEST = 80


@dataclass(frozen=True)
class Destination:
    """One LangSmith as a target names it.

    Attributes:
        endpoints: its URLs.
        ingest_key: key that gateways send traces with.
        read_key: key that runs are read back with; None where the target names none.
        ca_pem: certificates to trust besides the system's.
        workspace_id: workspace that is meant, sent as ``X-Tenant-Id``.
    """

    endpoints: Endpoints
    ingest_key: str = field(repr=False)
    read_key: str | None = field(default=None, repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    workspace_id: str | None = None

    @property
    def api(self) -> str:
        """Base of the REST API with its version, where both SaaS and self-hosted serve it."""
        return f"{self.endpoints.api}/api/v1" if self.endpoints.saas else self.endpoints.api

    @property
    def api_v2(self) -> str:
        """Base of the second version of the REST API."""
        return self.api.removesuffix("/v1") + "/v2"

    def headers(self, key: str, *, workspace: bool = True, project: str | None = None) -> dict[str, str | bytes]:
        """Return what names key, workspace and project in a request.

        Args:
            workspace: whether to name the workspace, where one is meant.
            project: for ingest only.
        """
        result: dict[str, str | bytes] = {API_KEY: key}
        if project is not None:
            # As endpoint.clean_project promises: nothing above U+00FF, sent as OpenTelemetry SDKs do.
            result[PROJECT] = project.encode("latin-1")
        if workspace and self.workspace_id is not None:
            result[WORKSPACE] = str(uuid.UUID(self.workspace_id))
        return result

    def shown(self, text: object, longest: int = _LONGEST) -> str:
        """Return text that a server chose, fit for a message: short, printable, and without either key."""
        plain = str(text)
        for key in (self.ingest_key, self.read_key):
            if key:
                plain = plain.replace(key, "(key)")
        plain = re.sub(r"[^\x20-\x7e\xa0-\uffff]+", " ", plain).strip()
        return plain if len(plain) <= longest else plain[: longest - 1] + "…"

    def run_url(self, workspace_id: str, project_id: str, run_id: str) -> str | None:
        """Return a run's page in the web app, or None where that is not known."""
        if self.endpoints.ui is None:
            return None
        return f"{self.endpoints.ui}/o/{workspace_id}/projects/p/{project_id}/r/{run_id}?poll=true"

    def project_url(self, workspace_id: str, project_id: str) -> str | None:
        """Return a project's page in the web app, or None where that is not known."""
        if self.endpoints.ui is None:
            return None
        return f"{self.endpoints.ui}/o/{workspace_id}/projects/p/{project_id}"
