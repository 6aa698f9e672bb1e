"""Leave a cluster as it was: stop the operator, take back all that it wrote, and say what could not be taken back.

The GatewayTelemetries stay, without finalizer, so nothing of the users' is lost and nothing waits for an operator
that is gone; their conditions say that it is gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from gateway_telemetry.cluster.client import Client
from gateway_telemetry.cluster.config import load
from gateway_telemetry.cluster.errors import ApiError
from gateway_telemetry.cluster.lease import Elector
from gateway_telemetry.cluster.paths import DEPLOYMENTS, GATEWAY_TELEMETRIES, LANGSMITH_TARGETS, SECRETS
from gateway_telemetry.control.control_planes import ControlPlanes
from gateway_telemetry.control.feed import WATCHED, Feed, Watched
from gateway_telemetry.control.gate import Gate, Limits
from gateway_telemetry.control.lookups import list_kind
from gateway_telemetry.control.reconcile import now_text
from gateway_telemetry.control.settings import Settings
from gateway_telemetry.control.writes import Writer
from gateway_telemetry.plan.gateways import in_order
from gateway_telemetry.plan.status import uninstalled_status
from gateway_telemetry.plan.store import Store
from gateway_telemetry.plan.targets import Refused
from gateway_telemetry.plan.views import Key

RETRY_SECONDS = 2.0
_AGAIN = (
    "Secret {}/{}: an operator has written it again: stop the operator, or name it with --deployment and "
    "--lease-namespace, and try again"
)
SETTLE_SECONDS = 5.0
"""How long to look whether an operator writes again, where no Lease tells that it has stopped."""
Say = Callable[[str], None]


async def uninstall(settings: Settings, deployment: tuple[str, str] | None, seconds: float, say: Say) -> list[str]:
    """Stop the operator and take back what it wrote; return what is left, one line each.

    Args:
        deployment: namespace and name of the operator's own Deployment, which is scaled to 0 first.
        seconds: longest time for all of it.
        say: told of each step.

    Raises:
        ConfigError: there is no usable kubeconfig or service account.
        ApiError: the cluster could not be read.
    """
    deadline = time.monotonic() + seconds
    connection = await load(settings.kubeconfig, settings.context)
    async with Client(connection) as client, Client(connection) as lease_client, AsyncExitStack() as stack:
        if deployment is not None:
            await _scale_down(client, deployment, say)
        if settings.lease is not None:
            elector = Elector(lease_client, *settings.lease, settings.identity, settings.lease_times)
            await stack.enter_async_context(elector.running())
            say("waiting until the operator no longer leads")
            try:
                await asyncio.wait_for(elector.leading.wait(), deadline - time.monotonic())
            except TimeoutError:
                lease = "/".join(settings.lease)
                return [
                    f"Lease {lease}: the operator still holds it, so nothing was taken back: stop it, and try again"
                ]
            client.guard = elector.holds
            left = await _take_back(client, settings, deadline, say)
            elector.remove_at_end = not left
            return left
        return await _take_back(client, settings, deadline, say)


async def _scale_down(client: Client, deployment: tuple[str, str], say: Say) -> None:
    namespace, name = deployment
    say(f"scaling Deployment {namespace}/{name} to 0")
    await client.merge_patch(DEPLOYMENTS, namespace, name, {"spec": {"replicas": 0}}, subresource="scale")


async def _take_back(client: Client, settings: Settings, deadline: float, say: Say) -> list[str]:
    """Take back what was written, under the limits of rollouts for the first half of the time."""
    done: set[Key] = set()
    store = Store()
    feed = Feed(store, lambda _: None)
    gate = Gate(store, settings.limits, lambda *_: None)
    patient = time.monotonic() + (deadline - time.monotonic()) / 2
    while True:
        if time.monotonic() > patient:
            gate = Gate(store, Limits(), lambda *_: None)
        await _list(client, settings, feed, WATCHED)
        left, kept = await _tenants(ControlPlanes.alone(client, store, feed, settings.options), store, say, done)
        left += await _round(Writer(client, store, feed), store, gate, say, done, kept)
        if settings.lease is None and left and (again := [item for item in done if await _is_there(client, item)]):
            return [_AGAIN.format(*item) for item in sorted(again)]
        if not left:
            return [] if settings.lease is not None else await _written_again(client, settings)
        if time.monotonic() + RETRY_SECONDS > deadline:
            return left
        await asyncio.sleep(RETRY_SECONDS)


async def _written_again(client: Client, settings: Settings) -> list[str]:
    """Return what an operator that was not stopped has written meanwhile."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        store = Store()
        secrets = (item for item in WATCHED if item.resource == SECRETS)
        await _list(client, settings, Feed(store, lambda _: None), secrets)
        written = {key: item.orphan for key, item in store.records.items()}
        written |= {key: item.orphan for key, item in store.tenant_records.items()}
        records = sorted(key for key, orphan in written.items() if not orphan)
        if records or time.monotonic() > deadline:
            return [_AGAIN.format(*key) for key in records]
        await asyncio.sleep(SETTLE_SECONDS / 5)


async def _is_there(client: Client, key: Key) -> bool:
    return await client.find(SECRETS, *key) is not None


async def _list(client: Client, settings: Settings, feed: Feed, watched: Iterable[Watched]) -> None:
    for item in watched:
        await list_kind(client, feed, item, settings.namespaces)


async def _tenants(control_planes: ControlPlanes, store: Store, say: Say, done: set[Key]) -> tuple[list[str], set[Key]]:
    """Try every control plane once; return what is left, and of which gateways."""
    left = []
    kept: set[Key] = set()
    for record in [item for item in store.tenant_records.values() if not item.orphan]:
        where = f"tenant {record.tenant[1]} at {record.tenant[0]}"
        try:
            await control_planes.restore(record)
            say(f"{where} is as it was")
            done.add((record.namespace, record.name))
        except Refused as refused:
            left.append(f"{where}: {refused.message}")
            kept.add(record.owner)
    return left, kept


async def _round(writer: Writer, store: Store, gate: Gate, say: Say, done: set[Key], kept: set[Key]) -> list[str]:
    """Try everything once; return what is left.

    Args:
        done: records that were taken back, in this round or before; added to.
        kept: gateways of which something is left; added to.
    """
    left = []
    holding: set[Key] = set()
    for record in in_order(item for item in store.records.values() if not item.orphan):
        if record.owner in holding and record.added is None:
            continue  # its workloads read an object that still names what would be taken away
        kind, name = ("Secret", record.name) if record.reference else record.workload
        workload = store.workloads.get((kind, record.namespace, name))
        try:
            if workload is not None and (refusal := gate.restore(workload)) is not None:
                raise refusal
            await writer.restore(record)
            say(f"{kind} {record.namespace}/{name} is as it was")
            done.add((record.namespace, record.name))
        except Refused as refused:
            left.append(f"{kind} {record.namespace}/{name}: {refused.message}")
            kept.add(record.owner)
            if record.added is not None:
                holding.add(record.owner)
        finally:
            gate.restored((kind, record.namespace, name))
    left += await _release(writer, store)
    left += await _let_go(writer, store, kept)
    return left


async def _release(writer: Writer, store: Store) -> list[str]:
    left = []
    for workload in [item for item in store.workloads.values() if item.owned]:
        try:
            await writer.release(*workload.key)
        except ApiError as error:
            left.append(f"{workload.kind} {workload.namespace}/{workload.name}: {error}")
    return left


async def _let_go(writer: Writer, store: Store, kept: set[Key]) -> list[str]:
    """Take the finalizers off, and let the conditions say that nobody looks after the objects any more.

    Args:
        kept: gateways that something of is still written; theirs stay.
    """
    left = []
    for key in [item for item in store.gateways if item not in kept]:
        try:
            await writer.finalizer(store.gateways[key], wanted=False)
            # One that was being deleted is gone by now.
            if (view := store.gateways[key]).deleting:
                continue
            await writer.status(GATEWAY_TELEMETRIES, view, uninstalled_status(view, now_text()))
        except ApiError as error:
            left.append(f"GatewayTelemetry {key[0]}/{key[1]}: {error}")
    for target in list(store.targets.values()):
        try:
            await writer.status(LANGSMITH_TARGETS, target, uninstalled_status(target, now_text()))
        except ApiError as error:
            left.append(f"LangSmithTarget {target.namespace}/{target.name}: {error}")
    return left
