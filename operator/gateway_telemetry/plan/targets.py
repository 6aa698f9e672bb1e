"""From a LangSmithTarget to URLs, key and CA, or to the reason why not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography import x509

from gateway_telemetry.api.conditions import Finding, bad, good, summarise, unknown
from gateway_telemetry.api.meta import SecretKeyRef
from gateway_telemetry.api.reasons import Reason
from gateway_telemetry.api.target import CaBundleRef, LangSmithTargetSpec
from gateway_telemetry.endpoint import EndpointProblem, Endpoints, clean_key, in_cluster, saas, self_hosted
from gateway_telemetry.plan.options import Options
from gateway_telemetry.plan.store import Store, Target
from gateway_telemetry.plan.views import Source

UNPROVEN = ("Reachable", "Authenticated", "Ingesting")


class Refused(Exception):
    """A condition that is not met: carries the reason and a message that says what to do."""

    def __init__(self, reason: Reason, message: str = "") -> None:
        super().__init__(message or reason.value)
        self.reason = reason
        self.message = message


ServiceFound = Mapping[str, Any] | Refused | None
"""The Service of a reference: None if it does not exist; why it may not be read."""


@dataclass(frozen=True)
class Resolved:
    """A target that can be used: everything that gateways need."""

    endpoints: Endpoints
    key: str = field(repr=False)
    ca_pem: str | None
    advice: tuple[str, ...]
    read_key: str | None = field(default=None, repr=False)

    @cached_property
    def digest(self) -> str:
        """What changes with URL, ingest key and CA; computed once for all gateways of the target."""
        return hashed(self.endpoints.traces, self.key, self.ca_pem)


def hashed(*parts: str | None) -> str:
    """Return a short hash of texts, where None counts as empty."""
    return hashlib.sha256("\0".join(part or "" for part in parts).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class TargetResult:
    """What resolving a target found.

    Attributes:
        resolved: None unless Accepted and ResolvedRefs are both True.
    """

    findings: tuple[Finding, ...]
    endpoints: Endpoints | None
    resolved: Resolved | None


def resolve(target: Target, store: Store, options: Options, service: ServiceFound = None) -> TargetResult:
    """Return the target's conditions and, if it can be used, what gateways need.

    Args:
        service: the Service of ``selfHosted.serviceRef``, None if it does not exist or there is no such reference.
    """
    findings: list[Finding] = []
    endpoints: Endpoints | None = None
    resolved: Resolved | None = None
    try:
        if target.spec is None:
            raise Refused(target.reason, target.problem)
        endpoints, notes = _accept(target, target.spec, options, service)
        findings.append(good("Accepted", Reason.ACCEPTED, _with_notes(f"Traces go to {endpoints.traces}", notes)))
    except Refused as refusal:
        findings += [
            bad("Accepted", refusal.reason, refusal.message),
            unknown("ResolvedRefs", Reason.PENDING, "The spec must be accepted first."),
        ]
    if endpoints is not None and target.spec is not None:
        try:
            resolved = _references(target, target.spec, endpoints, store)
            findings.append(
                good("ResolvedRefs", Reason.RESOLVED, _with_notes("The key and CA were found", resolved.advice))
            )
        except Refused as refusal:
            findings.append(bad("ResolvedRefs", refusal.reason, refusal.message))
    findings += [unknown(type_, Reason.NOT_VERIFIED) for type_ in UNPROVEN]
    findings += summarise(findings, ("Accepted", "ResolvedRefs"))
    if target.spec is not None and target.spec.suspend:
        findings.append(good("Suspended", Reason.SUSPENDED))
    return TargetResult(tuple(findings), endpoints, resolved)


def _with_notes(text: str, notes: tuple[str, ...]) -> str:
    return ". ".join([text, *notes]) + "."


def _refused(problem: EndpointProblem, spec: LangSmithTargetSpec) -> Refused:
    by_service = spec.self_hosted is not None and spec.self_hosted.service_ref is not None
    field_ = problem.field or ("selfHosted.serviceRef" if by_service else "selfHosted.url")
    return Refused(Reason(problem.reason), f"spec.{field_}: {problem.message}")


def _accept(
    target: Target, spec: LangSmithTargetSpec, options: Options, service: ServiceFound
) -> tuple[Endpoints, tuple[str, ...]]:
    hosted = spec.self_hosted
    try:
        if spec.saas is not None:
            endpoints = saas(spec.saas.region)
        elif hosted is not None and hosted.service_ref is not None:
            reference = hosted.service_ref
            endpoints = in_cluster(
                reference.name,
                reference.namespace or target.namespace,
                reference.port,
                reference.scheme,
                hosted.base_path,
                allow_plaintext=spec.allow_plaintext,
            )
        else:
            assert hosted is not None
            assert hosted.url is not None
            endpoints = self_hosted(hosted.url, hosted.base_path, allow_plaintext=spec.allow_plaintext)
        endpoints = options.hosts.check(
            endpoints, target_namespace=target.namespace, cluster_domain=options.cluster_domain
        )
    except EndpointProblem as problem:
        raise _refused(problem, spec) from None
    if hosted is not None and hosted.service_ref is not None:
        # After the host was allowed: whoever may not use a Service does not learn whether there is one.
        reference = hosted.service_ref
        namespace = reference.namespace or target.namespace
        _check_service(service, namespace, reference.name, reference.port, options)
    return endpoints, tuple(note.message for note in endpoints.advice)


def _check_service(service: ServiceFound, namespace: str, name: str, port: int, options: Options) -> None:
    """Refuse Services that do not exist or lead out of the cluster.

    An ExternalName or selector-less Service can point anywhere, the API server's or a metadata address included.
    """
    where = f"spec.selfHosted.serviceRef: Service {namespace}/{name}"
    if isinstance(service, Refused):
        raise service
    if service is None:
        if options.check_services:
            raise Refused(Reason.SERVICE_NOT_ALLOWED, f"{where} does not exist: check its name and namespace")
        return
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        raise Refused(
            Reason.SERVICE_NOT_ALLOWED, f"{where} is of type ExternalName: write that host into selfHosted.url instead"
        )
    if not spec.get("selector"):
        raise Refused(
            Reason.SERVICE_NOT_ALLOWED,
            f"{where} has no selector, so it can lead anywhere: name a Service that selects LangSmith's pods",
        )
    ports = [item.get("port") for item in spec.get("ports") or ()]
    if port not in ports:
        raise Refused(
            Reason.SERVICE_NOT_ALLOWED,
            f"{where} has no port {port}: it has {', '.join(str(item) for item in ports) or 'none'}",
        )


def _references(target: Target, spec: LangSmithTargetSpec, endpoints: Endpoints, store: Store) -> Resolved:
    assert spec.credentials is not None
    key, notes = _key(target, spec.credentials.ingest.secret_ref, "ingest", endpoints, store)
    read_key = None
    if spec.credentials.read is not None:
        read_key, more = _key(target, spec.credentials.read.secret_ref, "read", endpoints, store)
        notes += more
    ca_pem = None
    if spec.ca_bundle_ref is not None:
        if endpoints.plaintext:
            notes += ("spec.caBundleRef has no effect with http://",)
        else:
            ca_pem = ca_bundle(target.namespace, spec.ca_bundle_ref, "spec.caBundleRef", store)
    return Resolved(endpoints, key, ca_pem, notes, read_key)


def _key(
    target: Target, reference: SecretKeyRef, which: str, endpoints: Endpoints, store: Store
) -> tuple[str, tuple[str, ...]]:
    field_ = f"spec.credentials.{which}.secretRef"
    return source_key(target.namespace, reference, field_, endpoints.host, store)


def source_key(
    namespace: str, reference: SecretKeyRef, field_: str, host: str, store: Store
) -> tuple[str, tuple[str, ...]]:
    """Return a key that a user gave to the operator, and what is worth knowing about it.

    Args:
        field_: path of the reference, for messages.
        host: where the key is to be sent.

    Raises:
        Refused: it is not there, not for that host, or no key.
    """
    where = f"{field_}: Secret {namespace}/{reference.name}"
    source = store.sources.get(("Secret", namespace, reference.name))
    if source is None:
        raise Refused(
            Reason.SECRET_NOT_FOUND,
            f"{where} does not exist, or is not labelled for use by this operator: create it, and run: "
            f"kubectl label secret {reference.name} -n {namespace} gatewaytelemetry.dev/role=source",
        )
    hosts = source.hosts()
    if hosts is not None and host not in hosts:
        raise Refused(
            Reason.KEY_NOT_FOR_HOST,
            f"{where} is bound by its annotation gatewaytelemetry.dev/hosts to {', '.join(hosts) or 'no host'}, "
            f"not to {host}: if the key may be sent there, add the host to the annotation",
        )
    try:
        key, advice = clean_key(_value(source, reference.key, where, Reason.SECRET_KEY_MISSING))
    except EndpointProblem as problem:
        raise Refused(Reason(problem.reason), f"{where}, key {reference.key}: {problem.message}") from None
    return key, tuple(f"{where}: {note.message}" for note in advice)


def _value(source: Source, key: str, where: str, missing: Reason) -> bytes:
    if _is_api_key(key):
        raise Refused(
            missing,
            f"{where}: its field key holds an API key, which everybody who reads this object now knows: revoke it, put "
            "a new one into the Secret, and write here under which key of the Secret's data it stands",
        )
    if key not in source.data:
        names = ", ".join(name for name in sorted(source.data) if not _is_api_key(name)) or "none"
        raise Refused(missing, f"{where} has no key {key!r} in its data: it has {names}")
    return source.data[key]


def _is_api_key(text: str) -> bool:
    return text.startswith(("lsv2_", "ls__"))


def ca_bundle(namespace: str, reference: CaBundleRef, field_: str, store: Store) -> str:
    """Return certificates that a user gave to the operator.

    Args:
        field_: path of the reference, for messages.

    Raises:
        Refused: they are not there, or are no certificates.
    """
    where = f"{field_}: {reference.kind} {namespace}/{reference.name}"
    source = store.sources.get((reference.kind, namespace, reference.name))
    if source is None:
        raise Refused(
            Reason.CA_BUNDLE_NOT_FOUND,
            f"{where} does not exist, or is not labelled for use by this operator: create it, and run: kubectl label "
            f"{reference.kind.lower()} {reference.name} -n {namespace} gatewaytelemetry.dev/role=source",
        )
    raw = _value(source, reference.key, where, Reason.CA_BUNDLE_KEY_MISSING)
    if b"PRIVATE KEY-----" in raw:
        raise Refused(
            Reason.CA_BUNDLE_HAS_PRIVATE_KEY,
            f"{where}, key {reference.key} holds a private key: store the certificates only",
        )
    try:
        certificates = x509.load_pem_x509_certificates(raw)
    except ValueError:
        certificates = []
    if not certificates:
        raise Refused(
            Reason.CA_BUNDLE_INVALID,
            f"{where}, key {reference.key} holds no PEM certificate: store the CA certificates as "
            "-----BEGIN CERTIFICATE----- blocks",
        )
    return raw.decode("ascii", "replace").strip() + "\n"
