"""Cursor paging that neither repeats nor skips a run when newer ones arrive between two pages."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import UUID

from tests.support.langsmith.context import InputError
from tests.support.langsmith.store import Run


def page_after(runs: list[Run], cursor: Any, limit: int) -> tuple[list[Run], str | None]:
    """Return the page behind the cursor, and the cursor of the next page; None after the last.

    Raises:
        InputError: the cursor is not one that was given out.
    """
    start = 0
    if cursor is not None:
        last = _decode(cursor)
        position = next((index for index, run in enumerate(runs) if run.id == last), None)
        if position is None:
            raise InputError(422, "cursor is not valid")
        start = position + 1
    page = runs[start : start + limit]
    return page, _encode(page[-1].id) if page and start + limit < len(runs) else None


def _encode(run_id: UUID) -> str:
    return base64.urlsafe_b64encode(run_id.bytes).decode()


def _decode(cursor: Any) -> UUID:
    try:
        return UUID(bytes=base64.urlsafe_b64decode(str(cursor)))
    except (ValueError, binascii.Error) as error:
        raise InputError(422, "cursor is not valid") from error
