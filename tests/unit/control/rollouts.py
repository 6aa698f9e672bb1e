"""A cluster in which rollouts take their time: what the reconciler does between a plan and its status, without I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.control.gate import Gate, Limits
from gateway_telemetry.control.queue import Ref
from gateway_telemetry.plan.gateways import GatewayPlan
from gateway_telemetry.plan.rollout import in_progress
from gateway_telemetry.plan.secret import secret_object
from gateway_telemetry.plan.status import gateway_status
from gateway_telemetry.plan.store import Lost
from gateway_telemetry.plan.targets import Refused
from tests.unit.plan import build
from tests.unit.plan.build import NS, Object, World

DENIED = Refused(Reason.RBAC_DENIED, "the operator may not patch deployments")


class Cluster:
    """Gateways with one Deployment each, of the same name; the gate is the real one, its clock is `now`.

    Attributes:
        woken: gateways in the order in which they were told to look again.
        later: when the gate wanted a gateway to be looked at again, in seconds from then.
        writes: names of the Deployments whose pod template was written.
    """

    def __init__(self, limits: Limits, *objects: Object) -> None:
        self.world = World(build.target(), build.secret(), *objects)
        self.now = 0.0
        self.woken: deque[Ref] = deque()
        self.later: dict[str, float] = {}
        self.writes: list[str] = []
        self.refused: set[str] = set()
        self._limits = limits
        self.restart()
        self.most = 0

    def restart(self) -> None:
        """Start the operator anew: it remembers nothing."""
        self.gate = Gate(self.world.store, self._limits, self._mark_later, lambda: self.now)
        self.world.gate = self.gate

    def _mark_later(self, ref: Ref, seconds: float) -> None:
        self.later[ref.name] = seconds
        if seconds == 0.0:
            self.woken.append(ref)

    def add(self, name: str, day: int = 2, namespace: str = NS, replicas: int = 1, target: str = "langsmith") -> None:
        """Add a gateway, made on a day of January, and its Deployment."""
        if (namespace, target) not in self.world.store.targets:
            self.world.put(build.target(target, namespace))
            self.world.put(build.secret(namespace=namespace))
        created = f"2026-01-{day:02}T00:00:00Z"
        view = build.gateway(name, namespace, created=created, labels={"app": name}, targetRef={"name": target})
        self.world.put(view)
        self.world.put(build.deployment(name, namespace, labels={"app": name}, replicas=replicas))

    def reconcile(self, name: str, namespace: str = NS) -> GatewayPlan:
        """Plan, write, plan again, tell the gate, write the status: as ``control.reconcile`` does."""
        world = self.world
        view = world.store.gateways[namespace, name]
        suspended = view.spec is not None and view.spec.suspend
        plan = world.plan(name, namespace)
        failures = {}
        for sink in plan.sinks:
            write = sink.write
            if suspended or write is None or not write.due or not (sink.state == "Pending" or write.rollback):
                continue
            if sink.workload.name in self.refused:
                failures[sink.workload.key] = DENIED
                continue
            if write.secret_stale:
                world.put(secret_object(view, write))
            if write.template_stale:
                self.writes.append(sink.workload.name)
                self.change(build.written(world.objects[sink.workload.key], sink.workload, write))
        plan = world.plan(name, namespace, failures)
        self.woken.extend(self.gate.seen(view, plan.sinks))
        self.most = max(self.most, len(self.rolling()))
        obj = world.objects["GatewayTelemetry", namespace, name]
        world.put({**obj, "status": gateway_status(view, plan, "2026-01-03T00:00:00Z")})
        return plan

    def reason(self, name: str, namespace: str = NS) -> Reason:
        """Reconcile a gateway with one Deployment and return how far that is."""
        return build.only_sink(self.reconcile(name, namespace)).reason

    def message(self, name: str, namespace: str = NS) -> str:
        """Reconcile a gateway with one Deployment and return what is said of that."""
        return build.only_sink(self.reconcile(name, namespace)).message

    def drain(self) -> None:
        """Reconcile whoever was woken, until nobody is."""
        for _ in range(1000):
            if not self.woken:
                return
            ref = self.woken.popleft()
            if (ref.namespace, ref.name) in self.world.store.gateways:
                self.reconcile(ref.name, ref.namespace)
        raise AssertionError("they wake each other without end")

    def change(self, obj: Object) -> None:
        """Store a Deployment with another spec: the generation rises, the controller has not seen it."""
        obj["metadata"]["generation"] += 1
        self.world.put(obj)

    def deployment(self, name: str, namespace: str = NS) -> Object:
        return self.world.objects["Deployment", namespace, name]

    def status(self, name: str, namespace: str = NS, conditions: Any = (), **counts: int) -> None:
        """Store what the controller says of a Deployment."""
        obj = self.deployment(name, namespace)
        status = {"observedGeneration": obj["metadata"]["generation"], **counts, "conditions": list(conditions)}
        self.world.put({**obj, "status": status})

    def finish(self, name: str, namespace: str = NS) -> None:
        """Complete a rollout."""
        count = self.deployment(name, namespace)["spec"]["replicas"]
        self.status(name, namespace, replicas=count, updatedReplicas=count, availableReplicas=count)

    def crash(self, name: str, namespace: str = NS) -> None:
        """Let the new pod of a rollout crash; the controller does not give up."""
        self.status(name, namespace, replicas=2, updatedReplicas=1, availableReplicas=1)
        live = self.world.store.workloads["Deployment", namespace, name]
        self.world.run(build.pod("new", config_hash=live.config_hash, waiting="CrashLoopBackOff"), name=name)

    def rolling(self) -> set[str]:
        """Return the names of the Deployments with settings of ours whose pods are being replaced."""
        views = self.world.store.workloads.values()
        return {view.name for view in views if in_progress(view) and view.rollout.desired}

    def undo(self, name: str, manager: str = "flux") -> None:
        """Take the settings away, as a tool does that writes the whole pod template."""
        obj = build.deployment(name, labels={"app": name})
        entry = {"manager": manager, "operation": "Update", "time": "2026-01-05T00:00:00Z"}
        obj["metadata"] |= {
            "generation": self.deployment(name)["metadata"]["generation"],
            "annotations": dict(self.deployment(name)["metadata"].get("annotations") or {}),
            "managedFields": [entry],
        }
        self.change(obj)
        self.finish(name)

    def delete_secret(self, name: str, version: int, namespace: str = NS) -> None:
        """Let somebody delete a Secret of the operator's, which had this resourceVersion."""
        store = self.world.store
        gone = replace(store.records[namespace, name], version=str(version))
        store.drop_record((namespace, name))
        store.lost["Secret", namespace, name] = Lost(gone, datetime(2026, 1, 4, tzinfo=UTC), exact=True)

    def delete_ca(self, name: str, version: int, namespace: str = NS) -> None:
        """Let somebody delete the ConfigMap with a CA beside a Secret, which had this resourceVersion."""
        store = self.world.store
        gone = replace(store.ca_copies.pop((namespace, name)), version=str(version))
        store.lost["ConfigMap", namespace, name] = Lost(gone, datetime(2026, 1, 4, tzinfo=UTC), exact=True)

    def edit(self, name: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> None:
        """Change a gateway as a user does."""
        obj = self.world.objects["GatewayTelemetry", NS, name]
        metadata = dict(obj["metadata"])
        if spec:
            metadata["generation"] += 1
        if annotations is not None:
            metadata["annotations"] = {f"gatewaytelemetry.dev/{key}": value for key, value in annotations.items()}
        self.world.put({**obj, "metadata": metadata, "spec": {**obj["spec"], **spec}})

    def remove(self, name: str, namespace: str = NS) -> None:
        """Take a gateway out of the store, as its deletion does."""
        del self.world.objects["GatewayTelemetry", namespace, name]
        self.world.store.drop_gateway((namespace, name))
