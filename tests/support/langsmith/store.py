"""What the stand-in holds: projects, runs, spans without a parent, and the ground truth of what reached it.

Ingest is asynchronous as in LangSmith: what is accepted becomes visible only after ``ingest_delay``, and a span whose
parent is not there waits unseen, for at most ``orphan_ttl``. No thread does this; whoever looks lets the due work
happen first, so an answer depends on the clock alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from tests.support.langsmith.mapping import Draft, draft
from tests.support.langsmith.otlp import Span

Fate = Literal["pending", "visible", "orphan", "expired", "dropped", "rejected"]


@dataclass(frozen=True)
class Request:
    """One HTTP request as it was answered; header values that could be secret are not kept.

    ``status`` is 0 where the connection was cut instead of an answer.
    """

    method: str
    path: str
    query: str
    path_class: str
    status: int
    header_names: tuple[str, ...]
    content_type: str
    content_encoding: str
    chunked: bool
    user_agent: str
    project_header: str | None
    tenant_header: str | None
    key_fingerprint: str | None
    workspace_id: str | None
    at: datetime


@dataclass
class Project:
    """A project (LangSmith's API calls it a session)."""

    id: UUID
    name: str
    workspace_id: str
    start_time: datetime = field(default_factory=lambda: datetime.now(UTC))
    description: str | None = None
    extra: dict[str, Any] | None = None


@dataclass
class Run:
    """A visible run: a draft with its place in a trace and a project."""

    body: Draft
    workspace_id: str
    project_id: UUID
    trace_id: UUID
    parent_ids: tuple[UUID, ...]
    dotted_order: str

    @property
    def id(self) -> UUID:
        """The run's id."""
        return self.body.id


@dataclass(eq=False)
class SpanRecord:
    """Ground truth of one received span and what became of it."""

    span: Span
    workspace_id: str
    project_name: str
    body: Draft
    fate: Fate = "pending"
    due: float = 0.0
    expires: float = 0.0


class Store:
    """Projects, runs and ground truth; safe to use from any thread. Times are seconds of ``clock``."""

    def __init__(self, *, ingest_delay: float, orphan_ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.ingest_delay = ingest_delay
        self.orphan_ttl = orphan_ttl
        self._clock = clock
        self._changed = threading.Condition(threading.RLock())
        self._requests: list[Request] = []
        self._spans: list[SpanRecord] = []
        self._queue: list[SpanRecord] = []
        self._orphans: dict[tuple[str, UUID], list[SpanRecord]] = {}
        self._projects: dict[tuple[str, str], Project] = {}
        self._runs: dict[tuple[str, UUID], Run] = {}

    # -- ground truth ------------------------------------------------------------------------------------------------

    def log(self, request: Request) -> None:
        """Record an answered request."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def requests(self, path_class: str | None = None) -> list[Request]:
        """Return all requests so far, or those of one path class (``ingest``, ``info``, ``read``, ...)."""
        with self._changed:
            return [r for r in self._requests if path_class in (None, r.path_class)]

    def counts(self) -> Counter[tuple[str, str | None]]:
        """Return how many requests there were by path class and fingerprint of the key."""
        return Counter((request.path_class, request.key_fingerprint) for request in self.requests())

    def spans(self, fate: Fate | None = None) -> list[SpanRecord]:
        """Return every span that reached ingest, or those of one fate."""
        with self._changed:
            self._settle()
            return [record for record in self._spans if fate in (None, record.fate)]

    def wait_for(self, condition: Callable[[], bool], timeout: float = 10.0) -> bool:
        """Wait until the condition holds; return whether it did within ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not condition():
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return False
                self._changed.wait(min(remaining, 0.02 if self._queue else 0.25))
            return True

    def wait_for_runs(self, count: int = 1, *, project: str | None = None, timeout: float = 10.0) -> list[Run]:
        """Return the visible runs, as soon as there are ``count`` of them.

        Raises:
            TimeoutError: there are fewer after ``timeout`` seconds; the message tells what became of every span.
        """
        if not self.wait_for(lambda: len(self.runs(project=project)) >= count, timeout):
            fates = [(r.project_name, r.span.name, r.fate) for r in self.spans()]
            raise TimeoutError(f"{len(self.runs(project=project))} of {count} runs after {timeout} s; spans: {fates}")
        return self.runs(project=project)

    # -- projects ----------------------------------------------------------------------------------------------------

    def projects(self, workspace_id: str | None = None) -> list[Project]:
        """Return the projects, newest first."""
        with self._changed:
            self._settle()
            found = [p for p in self._projects.values() if workspace_id in (None, p.workspace_id)]
            return sorted(found, key=lambda p: p.start_time, reverse=True)

    def project(self, workspace_id: str, project_id: UUID) -> Project | None:
        """Return a project of a workspace by id."""
        return next((p for p in self.projects(workspace_id) if p.id == project_id), None)

    def ensure_project(self, workspace_id: str, name: str, *, project_id: UUID | None = None) -> tuple[Project, bool]:
        """Return the project of that name, and whether it had to be made."""
        with self._changed:
            made = (workspace_id, name) not in self._projects
            if made:
                self._projects[workspace_id, name] = Project(project_id or uuid4(), name, workspace_id)
                self._changed.notify_all()
            return self._projects[workspace_id, name], made

    def delete_project(self, project: Project) -> None:
        """Delete a project with its runs."""
        with self._changed:
            self._projects.pop((project.workspace_id, project.name), None)
            for key in [key for key, run in self._runs.items() if run.project_id == project.id]:
                del self._runs[key]

    # -- ingest ------------------------------------------------------------------------------------------------------

    def accept_spans(self, workspace_id: str, project_name: str, spans: Iterable[Span], fate: Fate = "pending") -> None:
        """Take spans in. With fate ``dropped`` or ``rejected`` they stay ground truth only."""
        with self._changed:
            for span in spans:
                body = draft(span)
                record = SpanRecord(span, workspace_id, body.project_name or project_name, body, fate)
                record.due = self._clock() + self.ingest_delay
                self._spans.append(record)
                if fate == "pending":
                    self._queue.append(record)
            self._changed.notify_all()

    def put_run(self, run: Run) -> None:
        """Make a run visible at once (LangSmith's own batch format names its ancestors itself)."""
        with self._changed:
            self._runs[run.workspace_id, run.id] = run
            self._changed.notify_all()

    # -- runs --------------------------------------------------------------------------------------------------------

    def runs(self, workspace_id: str | None = None, *, project: str | None = None) -> list[Run]:
        """Return the visible runs, newest first; ``project`` is a project's name."""
        with self._changed:
            self._settle()
            names = {p.id: p.name for p in self._projects.values()}
            found = [
                run
                for run in self._runs.values()
                if workspace_id in (None, run.workspace_id) and project in (None, names.get(run.project_id))
            ]
            return sorted(found, key=lambda run: (run.body.start_time, run.id), reverse=True)

    def run(self, workspace_id: str, run_id: UUID) -> Run | None:
        """Return a visible run of a workspace by id."""
        with self._changed:
            self._settle()
            return self._runs.get((workspace_id, run_id))

    # -- the asynchronous part ---------------------------------------------------------------------------------------

    def _settle(self) -> None:
        now = self._clock()
        due = [record for record in self._queue if record.due <= now]
        self._queue = [record for record in self._queue if record.due > now] if due else self._queue
        for record in sorted(due, key=lambda record: record.due):
            self._arrive(record)
        for key, records in list(self._orphans.items()):
            for record in records:
                record.fate = "orphan" if record.expires > now else "expired"
            self._orphans[key] = [record for record in records if record.fate == "orphan"]
            if not self._orphans[key]:
                del self._orphans[key]

    def _arrive(self, record: SpanRecord) -> None:
        record.expires = record.due + self.orphan_ttl
        parent_id = record.body.parent_id
        if parent_id is None or (record.workspace_id, parent_id) in self._runs:
            self._place(record)
        else:
            record.fate = "orphan"
            self._orphans.setdefault((record.workspace_id, parent_id), []).append(record)

    def _place(self, record: SpanRecord) -> None:
        """Make a run of the record and of all that waited for it."""
        placeable = [record]
        while placeable:
            child = placeable.pop()
            self._make_run(child)
            for waiting in self._orphans.pop((child.workspace_id, child.body.id), []):
                if waiting.expires > record.due:
                    placeable.append(waiting)
                else:
                    waiting.fate = "expired"

    def _make_run(self, record: SpanRecord) -> None:
        body, workspace_id = record.body, record.workspace_id
        parent = self._runs[workspace_id, body.parent_id] if body.parent_id else None
        order = f"{body.start_time:%Y%m%dT%H%M%S%f}Z{body.id}"
        self._runs[workspace_id, body.id] = Run(
            body=body,
            workspace_id=workspace_id,
            project_id=self._project_of(record).id,
            trace_id=parent.trace_id if parent else body.id,
            parent_ids=(*parent.parent_ids, parent.id) if parent else (),
            dotted_order=f"{parent.dotted_order}.{order}" if parent else order,
        )
        record.fate = "visible"

    def _project_of(self, record: SpanRecord) -> Project:
        if record.body.project_id:
            for project in self._projects.values():
                if (project.workspace_id, str(project.id)) == (record.workspace_id, record.body.project_id):
                    return project
        return self.ensure_project(record.workspace_id, record.project_name)[0]
