"""What the operator asked API servers for, from their audit logs, gathered over all clusters of a test run."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FOLDER_VARIABLE = "GATEWAY_TELEMETRY_AUDIT"
HOME = "operator-under-test"
"""Namespace of the account whose rights no test takes away."""
_OPERATOR = re.compile(r"system:serviceaccount:([^:]+):gateway-telemetry-operator")
_TEST_CLIENT = "python-httpx/"
"""The tests' own client, which tries with the operator's token what the operator never would."""


@dataclass(frozen=True, order=True)
class Asked:
    """One kind of request.

    Attributes:
        resource: with the subresource, e.g. ``deployments/scale``.
        everywhere: across namespaces, or of a kind that has none.
        allowed: False if RBAC refused it.
    """

    verb: str
    group: str
    resource: str
    everywhere: bool
    allowed: bool = True


def events(log: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of an audit log; a last line that is still being written is left out."""
    with log.open() as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def asked(log: Path) -> set[Asked]:
    """Return what operators asked for with a token of the chart's ServiceAccount.

    Refusals count only for the account in ``HOME``: tests take rights away from others.
    """
    found = set()
    for event in events(log):
        account = _OPERATOR.fullmatch(event["user"].get("username", ""))
        reference = event.get("objectRef")
        if account is None or reference is None or event.get("userAgent", "").startswith(_TEST_CLIENT):
            continue
        allowed = event["annotations"].get("authorization.k8s.io/decision") == "allow"
        if allowed or account[1] == HOME:
            resource, subresource = reference["resource"], reference.get("subresource")
            found.add(
                Asked(
                    event["verb"],
                    reference.get("apiGroup", ""),
                    f"{resource}/{subresource}" if subresource else resource,
                    everywhere="namespace" not in reference,
                    allowed=allowed,
                )
            )
    return found


def keep(log: Path) -> None:
    """Keep what a cluster's log tells beyond the cluster's end, where a test run gathers it."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder and log.exists():
        text = json.dumps([asdict(item) for item in sorted(asked(log))])
        (Path(folder) / f"{uuid.uuid4().hex}.json").write_text(text)


def gathered(folder: Path) -> set[Asked]:
    """Return what all clusters of a test run kept."""
    return {Asked(**item) for file in folder.glob("*.json") for item in json.loads(file.read_text())}


def granted(rules: Iterable[dict[str, Any]]) -> set[tuple[str, str, str]]:
    """Return verb, group and resource of the rules of roles."""
    return {
        (verb, group, resource)
        for rule in rules
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
