"""Refusals as real API servers word them: what is made of them, and what never gets through."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from gateway_telemetry.cluster.errors import ApiError, Conflict, Forbidden, Invalid, NotFound, Unavailable, from_status
from gateway_telemetry.cluster.paths import DEPLOYMENTS, SECRETS, ResourcePath

DEPLOYMENT = ResourcePath.parse(DEPLOYMENTS.item("team-a", "litellm"))
SECRET = ResourcePath.parse(SECRETS.item("team-a", "langsmith"))
VALUE = "lsv2_sk_marked4711_0123456789abcdef"
ENCODED = base64.b64encode(VALUE.encode()).decode()


def status(code: int, reason: str, message: str, **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "details": details,
        "code": code,
    }


OWNED = status(
    409,
    "Conflict",
    'Apply failed with 2 conflicts: conflicts with "helm" using apps/v1:\n'
    '- .spec.template.spec.containers[name="litellm"].env[name="LANGSMITH_PROJECT"].value\n'
    'conflicts with "kubectl-edit" using apps/v1 at 2026-01-01T00:00:00Z:\n'
    '- .spec.template.spec.containers[name="litellm"].image',
    causes=[
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "helm" using apps/v1',
            "field": '.spec.template.spec.containers[name="litellm"].env[name="LANGSMITH_PROJECT"].value',
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "kubectl-edit" with subresource "scale" using apps/v1 at 2026-01-01T00:00:00Z',
            "field": '.spec.template.spec.containers[name="litellm"].image',
        },
        {
            "reason": "FieldManagerConflict",
            "message": 'conflict with "helm" using apps/v1',
            "field": ".spec.replicas",
        },
    ],
)


def test_a_conflict_of_server_side_apply_names_managers_and_fields() -> None:
    error = from_status(409, OWNED, verb="PATCH", path=DEPLOYMENT)
    assert isinstance(error, Conflict)
    assert error.managers == ("helm", "kubectl-edit")
    assert error.fields == (
        '.spec.template.spec.containers[name="litellm"].env[name="LANGSMITH_PROJECT"].value',
        '.spec.template.spec.containers[name="litellm"].image',
        ".spec.replicas",
    )
    assert str(error).startswith("PATCH deployments.apps team-a/litellm: 409 Conflict: Apply failed with 2 conflicts")
    assert "\n" not in str(error)


def test_a_conflict_of_versions_names_nobody() -> None:
    message = (
        'Operation cannot be fulfilled on deployments.apps "litellm": the object has been modified; please apply your '
        "changes to the latest version and try again"
    )
    body = status(409, "Conflict", message, name="litellm", group="apps", kind="deployments")
    error = from_status(409, body, verb="PUT", path=DEPLOYMENT)
    assert isinstance(error, Conflict)
    assert (error.managers, error.fields) == ((), ())
    assert error.message == message


def test_a_manager_may_have_quotes_in_its_name() -> None:
    cause = {"reason": "FieldManagerConflict", "message": r'conflict with "a \"b\" c" using v1', "field": ".x"}
    error = from_status(409, status(409, "Conflict", "x", causes=[cause]), verb="PATCH", path=DEPLOYMENT)
    assert isinstance(error, Conflict)
    assert error.managers == (r"a \"b\" c",)


@pytest.mark.parametrize(
    ("message", "permission"),
    [
        (
            'deployments.apps "litellm" is forbidden: User "system:serviceaccount:ops:gateway-telemetry" cannot patch '
            'resource "deployments" in API group "apps" in the namespace "team-a"',
            "patch deployments.apps in namespace team-a",
        ),
        (
            'secrets is forbidden: User "system:serviceaccount:ops:gateway-telemetry" cannot list resource "secrets" '
            'in API group "" at the cluster scope',
            "list secrets cluster-wide",
        ),
        (
            'gatewaytelemetries.gatewaytelemetry.dev "x" is forbidden: User "u" cannot patch resource '
            '"gatewaytelemetries/status" in API group "gatewaytelemetry.dev" in the namespace "team-a": RBAC: '
            'clusterrole.rbac.authorization.k8s.io "gone" not found',
            "patch gatewaytelemetries/status.gatewaytelemetry.dev in namespace team-a",
        ),
    ],
)
def test_a_denial_of_rbac_names_the_permission(message: str, permission: str) -> None:
    error = from_status(403, status(403, "Forbidden", message), verb="PATCH", path=DEPLOYMENT)
    assert isinstance(error, Forbidden)
    assert error.permission == permission
    assert not error.namespace_terminating


@pytest.mark.parametrize(
    "message",
    [
        'pods "x" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=5, limited: pods=5',
        "deployments.apps \"x\" is forbidden: ValidatingAdmissionPolicy 'images' with binding 'all' denied request: no",
        'admission webhook "validate.kyverno.svc-fail" denied the request: resource blocked',
    ],
)
def test_other_denials_are_no_missing_permission(message: str) -> None:
    error = from_status(403, status(403, "Forbidden", message), verb="POST", path=DEPLOYMENT)
    assert isinstance(error, Forbidden)
    assert error.permission == ""
    assert error.message == message


def test_a_namespace_that_is_being_deleted_is_recognised() -> None:
    message = (
        'secrets "langsmith" is forbidden: unable to create new content in namespace team-a because it is being '
        "terminated"
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": "namespace team-a is being terminated",
        "field": "metadata.namespace",
    }
    body = status(403, "Forbidden", message, name="langsmith", kind="secrets", causes=[cause])
    error = from_status(403, body, verb="POST", path=SECRET)
    assert isinstance(error, Forbidden)
    assert error.namespace_terminating
    assert error.permission == ""


def test_invalid_names_the_fields() -> None:
    body = status(
        422,
        "Invalid",
        'Deployment.apps "litellm" is invalid: spec.template.spec.containers[0].image: Required value',
        name="litellm",
        group="apps",
        kind="Deployment",
        causes=[
            {
                "reason": "FieldValueRequired",
                "message": "Required value",
                "field": "spec.template.spec.containers[0].image",
            }
        ],
    )
    error = from_status(422, body, verb="PATCH", path=DEPLOYMENT)
    assert isinstance(error, Invalid)
    assert error.fields == ("spec.template.spec.containers[0].image",)


# Texts as API servers word them, with the value in the place where it stands there.
QUOTING = [
    (
        400,
        "BadRequest",
        'Secret in version "v1" cannot be handled as a Secret: illegal base64 data at input byte 4, error found in #10 '
        f'byte of ...|":"{VALUE}"}},"k|...',
        None,
    ),
    (
        400,
        "BadRequest",
        f'Secret in version "v1" cannot be handled as a Secret: json: cannot unmarshal string "{VALUE}" into Go value',
        None,
    ),
    (
        422,
        "Invalid",
        f'Secret "langsmith" is invalid: data[api key]: Invalid value: "{VALUE}": a valid config key must consist of',
        [
            {
                "reason": "FieldValueInvalid",
                "message": f'Invalid value: "{VALUE}": a valid config key must consist of alphanumeric characters',
                "field": "data[api key]",
            }
        ],
    ),
    (
        500,
        "InternalError",
        f'failed to create typed patch object: .data.api-key: expected string, got &value{{"{ENCODED}"}}',
        None,
    ),
    (
        403,
        "Forbidden",
        f'admission webhook "validate.kyverno.svc-fail" denied the request: data {ENCODED} is not allowed',
        None,
    ),
    (
        403,
        "Forbidden",
        "secrets \"langsmith\" is forbidden: ValidatingAdmissionPolicy 'keys' with binding 'all' denied request: "
        f"{VALUE} looks like a key",
        None,
    ),
    (503, "ServiceUnavailable", f"error trying to reach service: {VALUE}", None),
]


@pytest.mark.parametrize(("code", "reason", "message", "causes"), QUOTING)
def test_values_of_secrets_are_in_no_message(code: int, reason: str, message: str, causes: Any) -> None:
    body = status(code, reason, message, name="langsmith", kind="Secret", causes=causes)
    error = from_status(code, body, verb="PATCH", path=SECRET)
    for text in (str(error), repr(error), error.message, str(error.details), str(error.args)):
        assert VALUE not in text
        assert ENCODED not in text
    assert "text withheld" in error.message
    assert str(error).startswith(f"PATCH secrets team-a/langsmith: {code} {reason}: ")


def test_what_is_withheld_still_says_who_and_which_field() -> None:
    told = []
    for code, reason, message, causes in QUOTING:
        body = status(code, reason, message, causes=causes)
        told.append(from_status(code, body, verb="PATCH", path=SECRET).message.partition(" (text withheld")[0])
    assert told == [
        "refused",
        "refused",
        "data[api key]: FieldValueInvalid",
        "refused",
        'admission webhook "validate.kyverno.svc-fail" denied',
        "ValidatingAdmissionPolicy 'keys' with binding 'all'",
        "refused",
    ]


def test_what_a_secret_cannot_be_quoted_in_is_passed_on() -> None:
    message = 'secrets "langsmith" already exists'
    error = from_status(409, status(409, "AlreadyExists", message), verb="POST", path=SECRET)
    assert error.message == message
    message = 'secrets "langsmith" not found'
    error = from_status(404, status(404, "NotFound", message), verb="GET", path=SECRET)
    assert isinstance(error, NotFound)
    assert error.message == message


def test_an_admission_policy_that_imitates_rbac_still_quotes_nothing() -> None:
    message = f'{VALUE} User "u" cannot patch resource "secrets" in API group "" in the namespace "team-a" {ENCODED}'
    error = from_status(403, status(403, "Forbidden", message), verb="PATCH", path=SECRET)
    assert VALUE not in str(error)
    assert ENCODED not in str(error)
    assert isinstance(error, Forbidden)
    assert error.permission == "patch secrets in namespace team-a"


def test_messages_are_bounded_and_one_line() -> None:
    error = from_status(422, status(422, "Invalid", "a\n b\t" * 1000), verb="PATCH", path=DEPLOYMENT)
    assert len(error.message) == 600
    assert error.message.startswith("a b a b")
    assert error.message.endswith("…")


@pytest.mark.parametrize("body", [None, "text", [], {}, {"kind": "Other", "message": "x"}, {"message": VALUE}])
def test_what_is_no_status_object_says_so_and_is_not_quoted(body: object) -> None:
    error = from_status(502, body, verb="GET", path=SECRET)
    assert isinstance(error, Unavailable)
    assert error.message == "the answer is not a Kubernetes Status object (is a proxy in between?)"
    assert error.reason == "Unknown"


@pytest.mark.parametrize(
    "details", [None, "text", [], {"causes": None}, {"causes": []}, {"causes": "x"}, {"causes": ["x", None]}]
)
def test_odd_details_break_nothing(details: object) -> None:
    for code in (403, 409, 422):
        for path in (DEPLOYMENT, SECRET):
            body = {"kind": "Status", "message": "m", "reason": "R", "details": details}
            error = from_status(code, body, verb="PATCH", path=path)
            if isinstance(error, Conflict):
                assert (error.managers, error.fields) == ((), ())
            elif isinstance(error, Invalid):
                assert error.fields == ()
            elif isinstance(error, Forbidden):
                assert not error.namespace_terminating


def test_no_answer_is_worded_as_such() -> None:
    error = Unavailable(0, "Timeout", "Timeout", request="GET secrets team-a/x")
    assert str(error) == "GET secrets team-a/x: no answer Timeout: Timeout"
    assert str(ApiError(400, "BadRequest", "why")) == "400 BadRequest: why"
