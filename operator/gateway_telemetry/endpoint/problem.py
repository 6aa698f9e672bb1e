"""What can be wrong with a URL, a key or a project, as one error type with a reason."""

from __future__ import annotations

from dataclasses import dataclass


class EndpointProblem(ValueError):
    """An input that is refused; the text never repeats credentials, queries or any part of a key.

    Attributes:
        reason: one word of the reasons table.
        message: what is wrong and what to write instead.
        field: path below ``spec``, e.g. ``selfHosted.url``; empty when the caller knows better.
    """

    def __init__(self, reason: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.field = field


@dataclass(frozen=True)
class Advice:
    """Something worth knowing that stops nothing."""

    topic: str
    message: str
