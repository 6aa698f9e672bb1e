"""The way to a control plane: whether the operator may call it, with which key, and whose consent that takes."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway_telemetry.api.install import ControlPlane
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.endpoint import EndpointProblem, Endpoints, HostPolicy, control_plane
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.references import References
from gateway_telemetry.plan.store import Gateway, Store, target_key
from gateway_telemetry.plan.targets import Refused, ca_bundle, source_key
from gateway_telemetry.plan.tenant_record import Remembered, TenantRecord

FIELD = "spec.install.controlPlane"


@dataclass(frozen=True)
class Access:
    """The way to a control plane."""

    endpoints: Endpoints
    api_key: str = field(repr=False)
    ca_pem: str | None = None


def allowed(url: str, namespace: str, hosts: HostPolicy, cluster_domain: str) -> Endpoints:
    """Return where a control plane is, if the operator may call it on behalf of a namespace.

    Raises:
        Refused: the URL cannot be meant, or its host is not allowed.
    """
    try:
        return hosts.check(control_plane(url), target_namespace=namespace, cluster_domain=cluster_domain)
    except EndpointProblem as problem:
        raise Refused(Reason(problem.reason), f"{FIELD}.url: {problem.message}") from None


def access_of(view: Gateway, way: ControlPlane, endpoints: Endpoints, store: Store) -> tuple[Access, tuple[str, ...]]:
    """Return the way to the control plane that a gateway names, and what is worth knowing about its key.

    Raises:
        Refused: key or CA are not there, not for that host, or unusable.
    """
    field_ = f"{FIELD}.secretRef"
    key, notes = source_key(view.namespace, way.secret_ref, field_, endpoints.host, store)
    if key.startswith("lsv2_"):
        raise Refused(
            Reason.KEY_MALFORMED,
            f"{field_}: Secret {view.namespace}/{way.secret_ref.name}, key {way.secret_ref.key} holds a LangSmith key: "
            "name the Secret with the key of TrueFoundry's control plane",
        )
    ca_pem = None
    if way.ca_bundle_ref is not None:
        ca_pem = ca_bundle(view.namespace, way.ca_bundle_ref, f"{FIELD}.caBundleRef", store)
    return Access(endpoints, key, ca_pem), notes


def check_key_may_leave(view: Gateway, found: References, endpoints: Endpoints, store: Store) -> None:
    """Refuse to hand the LangSmith key to a host that its owner did not name.

    Raises:
        Refused: the key's Secret is bound to other hosts.
    """
    assert found.target.credentials is not None
    namespace, name = target_key(view)
    secret = found.target.credentials.ingest.secret_ref.name
    source = store.sources.get(("Secret", namespace, secret))
    hosts = None if source is None else source.hosts()
    if hosts is not None and endpoints.host not in hosts:
        where = f"Secret {namespace}/{secret}" if namespace == view.namespace else "its Secret"
        raise Refused(
            Reason.KEY_NOT_FOR_HOST,
            f"the LangSmith key of LangSmithTarget {namespace}/{name} may not be sent to {endpoints.host}: {where} is "
            "bound to other hosts by its annotation gatewaytelemetry.dev/hosts; add this host there if the key may "
            "leave",
        )


def restoring(record: TenantRecord, remembered: Remembered, store: Store, options: Options) -> Access:
    """Return the way to a control plane in which something is to be taken back.

    The owner's Secret counts while it is there, since its key may be newer than the one that is remembered.

    Raises:
        Refused: the operator may no longer call that host.
    """
    endpoints = allowed(record.url, record.namespace, options.hosts, options.cluster_domain)
    owner = store.gateways.get(record.owner)
    way = None if owner is None or owner.spec is None else owner.spec.install.control_plane
    if way is not None and owner is not None and endpoints.api.removeprefix("https://") == record.tenant[0]:
        try:
            current = allowed(way.url, record.namespace, options.hosts, options.cluster_domain)
            if current.api == endpoints.api and way.tenant == record.tenant[1]:
                return access_of(owner, way, endpoints, store)[0]
        except Refused:
            pass  # the user's Secret is gone: that is what the remembered key is for
    return Access(endpoints, remembered.api_key, remembered.ca_pem)
