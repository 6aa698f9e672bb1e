"""Slim, immutable views of cluster objects: all that planning needs and nothing that it does not.

Caches keep these instead of whole objects. Secret bytes are kept only for labelled source
Secrets, never shown by repr, and replaced by a digest where the operator merely compares.
"""

from __future__ import annotations

from gateway_telemetry.plan.views.ca_copies import CaCopy, ca_digest, project_ca_copy
from gateway_telemetry.plan.views.common import TIME_FORMAT, Key, compact, digest
from gateway_telemetry.plan.views.pods import HOPELESS, Pod, project_pod
from gateway_telemetry.plan.views.records import (
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NOTHING,
    ORIGINAL_KEY,
    RECORD_KEY,
    RESOURCE_KINDS,
    Added,
    Record,
    is_managed,
    project_record,
)
from gateway_telemetry.plan.views.sources import Source, project_source
from gateway_telemetry.plan.views.workloads import (
    WORKLOAD_KINDS,
    Container,
    Rollout,
    Workload,
    last_manager,
    mounted_config_maps,
    project_workload,
)

__all__ = [
    "HOPELESS",
    "MANAGED_BY",
    "MANAGED_BY_LABEL",
    "NOTHING",
    "ORIGINAL_KEY",
    "RECORD_KEY",
    "RESOURCE_KINDS",
    "TIME_FORMAT",
    "WORKLOAD_KINDS",
    "Added",
    "CaCopy",
    "Container",
    "Key",
    "Pod",
    "Record",
    "Rollout",
    "Source",
    "Workload",
    "ca_digest",
    "compact",
    "digest",
    "is_managed",
    "last_manager",
    "mounted_config_maps",
    "project_ca_copy",
    "project_pod",
    "project_record",
    "project_source",
    "project_workload",
]
