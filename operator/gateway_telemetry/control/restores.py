"""Taking back what was written: record by record, under the same limits as rollouts, also where the record is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway_telemetry.api import meta
from gateway_telemetry.control.gate import Gate
from gateway_telemetry.control.writes import Writer
from gateway_telemetry.plan import restore
from gateway_telemetry.plan.gateways import WorkloadKey
from gateway_telemetry.plan.reference import CA_SUFFIX
from gateway_telemetry.plan.store import Gateway, Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Record
from gateway_telemetry.plan.writes import led_astray, secret_name


class Restores:
    """Restores what records remember."""

    def __init__(self, store: Store, writer: Writer, gate: Gate) -> None:
        self._store = store
        self._writer = writer
        self._gate = gate

    async def undo(self, records: Iterable[Record], *, hurry: bool = False) -> dict[WorkloadKey, Refused]:
        """Take back what records remember, in their order and under the limits of rollouts; return what failed.

        After an object that could not be restored nothing more is: its readers keep the variables that it names.

        Args:
            hurry: wait for nobody's turn.
        """
        failures: dict[WorkloadKey, Refused] = {}
        for record in records:
            key = record.workload_key
            workload = None if record.reference else self._store.workloads.get(key)
            # A key that would follow somebody else's endpoint waits for nobody's turn.
            if workload is not None and not hurry and not led_astray(workload, record):
                refusal = self._gate.restore(workload)
                if refusal is not None:
                    failures[key] = refusal
                    continue
            try:
                if await self._writer.restore(record):
                    self._gate.gone([key])
            except Refused as refused:
                failures[key] = refused
                if record.added is not None:
                    break
            finally:
                self._gate.restored(key)
        return failures

    async def drop_strays(self, view: Gateway | None) -> dict[WorkloadKey, Refused]:
        """Delete CAs that were written beside a Secret which somebody deleted, and that the gateway does not want now.

        With the Secret they are deleted, or stay, as its record says.
        """
        failures: dict[WorkloadKey, Refused] = {}
        if view is None or view.spec is None or view.spec.deletion_policy == "Orphan":
            return failures
        reference = None if view.deleting else view.spec.install.reference
        wanted = "" if reference is None else reference.secret_name
        for copy in [item for item in self._store.ca_copies.values() if item.owner == view.key]:
            secret = copy.name.removesuffix(CA_SUFFIX)
            if secret != wanted and (copy.namespace, secret) not in self._store.records:
                try:
                    await self._writer.drop_ca(copy)
                except Refused as refused:
                    failures["ConfigMap", copy.namespace, copy.name] = refused
        return failures

    def forgotten(self, view: Gateway | None) -> Iterator[Record]:
        """Yield records for workloads that carry our settings and whose Secret, and with it the record, was deleted."""
        if view is None or meta.FINALIZER not in view.finalizers:
            return
        for workload in self._store.workloads_matching(view):
            name = secret_name(workload.kind, workload.name)
            if (workload.namespace, name) not in self._store.records:
                record = restore.forgotten(view, workload)
                if record is not None:
                    yield record
