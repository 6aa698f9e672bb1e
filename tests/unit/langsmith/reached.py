"""The reasons that only a request to LangSmith can bring; test_reasons.py here finds a literal row for each."""

from __future__ import annotations

from gateway_telemetry.api.reasons import Reason

VERIFICATION = frozenset(
    {
        Reason.REACHABLE, Reason.CERTIFICATE_EXPIRES_SOON, Reason.LICENSE_EXPIRED, Reason.CLOCK_SKEW,
        Reason.NOT_PROBED, Reason.DNS_NOT_FOUND, Reason.DNS_UNAVAILABLE, Reason.ADDRESS_NOT_ALLOWED,
        Reason.CONNECTION_REFUSED, Reason.NO_ROUTE, Reason.PROXY_UNREACHABLE, Reason.PROXY_REFUSED,
        Reason.CONNECTION_CUT, Reason.ANSWER_TIMEOUT, Reason.TLS_EXPIRED, Reason.TLS_NOT_YET_VALID,
        Reason.TLS_WRONG_HOST, Reason.TLS_UNTRUSTED, Reason.TLS_INTERCEPTED, Reason.TLS_NOT_SPOKEN,
        Reason.TLS_FAILED, Reason.TLS_EXPECTED, Reason.ANSWERED_BY_UI, Reason.METHOD_NOT_ALLOWED,
        Reason.EMPTY_ANSWER, Reason.NOT_LANGSMITH, Reason.REDIRECTED, Reason.API_NOT_FOUND, Reason.BLOCKED_IN_FRONT,
        Reason.SERVER_ERROR, Reason.RATE_LIMITED, Reason.INFO_NEEDS_KEY, Reason.AUTHENTICATED, Reason.KEY_REJECTED,
        Reason.KEY_FORBIDDEN, Reason.WORKSPACE_REQUIRED, Reason.WORKSPACE_MISMATCH, Reason.WORKSPACE_UNVERIFIED,
        Reason.INGESTED, Reason.DELIVERED, Reason.CANARY_OFF, Reason.NO_READ_KEY, Reason.READ_BACK_FAILED,
        Reason.NOT_VISIBLE, Reason.WRONG_PROJECT, Reason.SPANS_REJECTED, Reason.OTLP_ROUTE_MISSING,
        Reason.BODY_TOO_LARGE, Reason.ENCODING_REFUSED, Reason.SPEND_CAP, Reason.NO_TRAFFIC, Reason.OLD_CONFIG,
        Reason.NOT_STAMPED, Reason.ORPHANS_DROPPED,
    }
)  # fmt: skip
