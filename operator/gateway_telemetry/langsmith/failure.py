"""What a request came to, when it came to nothing: one error with a reason of the table."""

from __future__ import annotations

from gateway_telemetry.api.conditions import Finding, bounded
from gateway_telemetry.api.reasons import BY_REASON, Reason


class Failed(Exception):
    """A request that did not bring what was asked for; the text repeats no body and no key.

    Attributes:
        reason: one of the table; its row gives the condition's status.
        message: what was met, and what to do.
        retry_after: seconds that the server asks to wait, where it did.
    """

    passed: tuple[str, ...] = ()
    """Steps that the request passed before it failed, in words."""

    def __init__(self, reason: Reason, what: str = "", *, retry_after: float | None = None) -> None:
        entry = BY_REASON[reason]
        self.reason = reason
        self.what = what
        self.message = bounded(" ".join(part for part in (_sentence(what or entry.meaning), entry.action) if part))
        self.retry_after = retry_after
        super().__init__(f"{reason}: {self.message}")

    def finding(self, type_: str) -> Finding:
        """Return the condition of that type that this failure means."""
        return Finding(type_, BY_REASON[self.reason].status, self.reason, self.message)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "…")) else f"{text}."
