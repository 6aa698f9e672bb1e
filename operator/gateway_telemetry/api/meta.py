"""Types that both kinds share: references, conditions, names and durations."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gateway_telemetry.api.rules import Checked, Model, Rule, differs, matcher, matches

GROUP = "gatewaytelemetry.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "gateway-telemetry"

ROLE_LABEL = f"{GROUP}/role"
"""Consent and filter in one: sources carry ``source``; what the operator writes carries ``copy``."""
ROLE_SOURCE = "source"
ROLE_COPY = "copy"
HOSTS_ANNOTATION = f"{GROUP}/hosts"
"""On a source Secret: comma-separated hosts that its key may be sent to (all allowed hosts when absent)."""
CONFIG_HASH_ANNOTATION = f"{GROUP}/config-hash"
"""On a pod template: hash of what was rendered; a change of it is what rolls the pods."""
RECORD_ANNOTATION = f"{GROUP}/record"
"""On a workload's own metadata: the name of the Secret that remembers what was written."""
OWNER_ANNOTATION = f"{GROUP}/owner"
CA_DIGEST_KEY = "GATEWAY_TELEMETRY_CA_DIGEST"
"""Key of a Secret of install.reference: hash of the CA beside it."""
OWNER_UID_ANNOTATION = f"{GROUP}/owner-uid"
ORPHAN_ANNOTATION = f"{GROUP}/orphan"
"""On a Secret of install.reference: it stays when its GatewayTelemetry goes."""
FINALIZER = f"{GROUP}/restore"
REQUESTED_AT_ANNOTATION = f"{GROUP}/requestedAt"
"""On the two kinds: any new value asks to look again now, and to go on after a stop."""
RECONCILE_NOW_ANNOTATION = f"{GROUP}/reconcile-now"
"""The same under a shorter name; a new value of either asks."""
APPROVED_HASH_ANNOTATION = f"{GROUP}/approvedHash"
"""On a GatewayTelemetry with a Manual rollout: the hash that may be rolled out."""
CHANGED_AT_ANNOTATION = f"{GROUP}/changedAt"
"""On a Secret of install.reference: when its content last changed; pods that are older have the old content."""

_DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_DNS_NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_LABEL_KEY = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
_LABEL_VALUE = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_DURATION = r"^([0-9]{1,5}([.][0-9]{1,3})?(s|m|h))+$"
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}

_LETTERS = "lower-case letters, digits and '-', with a letter or digit at both ends"
ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    *Checked.by(matches(_DNS_NAME, f"must be the name of a Kubernetes object: parts of {_LETTERS}, joined by '.'")),
]
NamespaceName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    *Checked.by(matches(_DNS_LABEL, f"must be the name of a namespace: {_LETTERS}")),
]
_is_dns_name = matcher(_DNS_NAME)


def is_object_name(text: str) -> bool:
    """Tell whether a text can be the name of a Kubernetes object (DNS-1123 subdomain)."""
    return len(text) <= 253 and _is_dns_name(text)


ContainerName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    *Checked.by(matches(_DNS_LABEL, f"must be the name of a container: {_LETTERS}")),
]
DataKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    *Checked.by(
        matches(r"^[-._a-zA-Z0-9]+$", "must be a key of a Secret or ConfigMap: letters, digits, '-', '_', '.'")
    ),
]


_is_duration = matcher(_DURATION)


def parse_duration(text: str) -> timedelta:
    """Parse a Go duration in hours, minutes and seconds, e.g. ``1h30m``.

    Raises:
        ValueError: the text is not such a duration.
    """
    if not _is_duration(text):
        raise ValueError(f"{text!r} is not a duration such as 30s, 5m or 24h")
    return timedelta(seconds=sum(float(n) * _UNITS[u] for n, _, u in re.findall(r"([0-9]+([.][0-9]+)?)([smh])", text)))


def duration_between(low: str, high: str) -> tuple[object, ...]:
    """Return field annotations for a duration within [low, high], e.g. ``("30s", "24h")``."""
    message = f"must be a duration between {low} and {high}, written like 90s, 5m or 24h"

    def check(value: str) -> bool:
        try:
            return parse_duration(low) <= parse_duration(value) <= parse_duration(high)
        except ValueError:
            return False

    cel = f"self.matches(r'{_DURATION}') && duration(self) >= duration('{low}') && duration(self) <= duration('{high}')"
    return Checked.by(Rule(cel, message, check))


ProjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    *Checked.by(
        differs(
            r"[\x00-\x1f\x7f-\x9f]",
            "a LangSmith project name must not hold control characters such as newline or tab: write it on one line",
        ),
        Rule(
            "self.trim() == self",
            "a LangSmith project name must not begin or end with spaces: remove them",
            lambda value: value.strip() == value,
        ),
    ),
]

WorkspaceId = Annotated[
    str,
    StringConstraints(max_length=64),
    *Checked.by(
        matches(
            r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
            "workspaceId is the workspace's UUID, e.g. 5f2c0a4e-0000-4000-8000-000000000000: "
            "LangSmith shows it under Settings > Workspaces",
        )
    ),
]


def is_claim(entry: Mapping[str, Any], operation: str) -> bool:
    """Tell whether an entry of ``metadata.managedFields`` is the operator's.

    Args:
        operation: Apply, or Update for what a patch wrote.
    """
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == operation


class Condition(Model):
    """One aspect of the object's state."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)] = Field(
        description="What the condition is about, in CamelCase."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    reason: Annotated[str, StringConstraints(min_length=1, max_length=1024)] = Field(
        description="Why, as one CamelCase word of the reasons table (docs/reasons.md)."
    )
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        default="", description="Why and what to do, for people."
    )
    observed_generation: int = Field(
        default=0,
        ge=0,
        description="metadata.generation of the spec that the condition speaks of.",
        json_schema_extra={"format": "int64"},
    )
    last_transition_time: str = Field(
        description="When `status` last changed (RFC 3339).", json_schema_extra={"format": "date-time"}
    )


class SecretKeyRef(Model):
    """A key of a Secret in the same namespace."""

    name: ObjectName = Field(description="Name of the Secret.")
    key: DataKey = Field(description="Key within the Secret's data.")


LabelKey = Annotated[
    str,
    StringConstraints(min_length=1, max_length=316),
    *Checked.by(matches(_LABEL_KEY, "must be a label key, like app or app.kubernetes.io/name")),
]
LabelValue = Annotated[
    str,
    StringConstraints(max_length=63),
    *Checked.by(matches(_LABEL_VALUE, "must be a label value: letters, digits, '-', '_' and '.'")),
]
_is_label_key = matcher(_LABEL_KEY)
MatchLabels = Annotated[
    dict[str, LabelValue],
    Field(max_length=64),
    *Checked.by(
        Rule(
            f"self.all(key, key.size() <= 316 && key.matches(r'{_LABEL_KEY}'))",
            "keys of matchLabels must be label keys, like app or app.kubernetes.io/name",
            lambda value: all(len(key) <= 316 and _is_label_key(key) for key in value),
        )
    ),
]


class LabelSelectorRequirement(Model):
    """One requirement of a label selector."""

    rules = (
        Rule(
            "self.operator in ['Exists', 'DoesNotExist'] "
            "? !has(self.values) || size(self.values) == 0 : has(self.values) && size(self.values) > 0",
            "values must be given for In and NotIn, and left out for Exists and DoesNotExist",
            lambda self: (self.operator in {"Exists", "DoesNotExist"}) != bool(self.values),
        ),
    )

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"] = Field(description="How values relate to the label.")
    values: list[LabelValue] | None = Field(
        default=None, max_length=64, description="Values for In and NotIn.", json_schema_extra={"listType": "atomic"}
    )


class LabelSelector(Model):
    """A label selector that selects something on purpose: the empty one is refused, not 'everything'."""

    rules = (
        Rule(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "an empty selector would match everything: write matchLabels (or matchExpressions) "
            "that name what you mean, e.g. matchLabels: {app: litellm}",
            lambda self: bool(self.match_labels) or bool(self.match_expressions),
        ),
    )

    match_labels: MatchLabels | None = Field(
        default=None, description="Labels that must all be present with these values."
    )
    match_expressions: list[LabelSelectorRequirement] | None = Field(
        default=None,
        max_length=64,
        description="Further requirements, all of which must hold.",
        json_schema_extra={"listType": "atomic"},
    )

    def matches(self, labels: dict[str, str]) -> bool:
        """Tell whether an object with these labels is selected (Kubernetes label selector semantics)."""
        if any(labels.get(key) != value for key, value in (self.match_labels or {}).items()):
            return False
        return all(_requirement_holds(item, labels) for item in self.match_expressions or ())


def _requirement_holds(item: LabelSelectorRequirement, labels: dict[str, str]) -> bool:
    match item.operator:
        case "In":
            return labels.get(item.key) in (item.values or ())
        case "NotIn":
            return labels.get(item.key) not in (item.values or ())
        case "Exists":
            return item.key in labels
        case "DoesNotExist":
            return item.key not in labels
