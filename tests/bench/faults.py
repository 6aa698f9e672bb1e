"""The fault matrix: every fault at once, each with a LangSmith, a target and a gateway of its own, under one operator.

What conditions say is compared with the ground truth of the stand-ins several times a second. Three numbers matter:
how often a condition was True while traces were missing (false green), how often it was False while all was well, one
interval after that began (false red), and how long it took to say the right reason.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.re import parse_env_headers

from tests.bench.fault_rows import ROWS, WORKSPACE, Row, Setting
from tests.bench.figures import figure, say
from tests.support import objects
from tests.support.kube import Kube
from tests.support.langsmith import CertificateAuthority, Key, StandIn
from tests.support.objects import Object
from tests.support.operator import watching
from tests.support.pod import pod_environment, pod_files

INTERVAL = 30.0
"""Seconds between probes, the shortest that a target may ask for."""
ONE_INTERVAL = INTERVAL * 1.1 + 15.0
"""With jitter, and the second look at what may pass by itself."""
PATIENCE = 90.0
"""Seconds after which a canary is NotVisible."""
ARRIVAL = 5.0
"""Seconds in which objects that were made together reach the operator, in any order."""
HOLD = 25.0
"""Seconds for which a fault lasts at least, to see that what was said stays."""
FLAGS = ("--insecure-allow-loopback", "--allow-host=*", "--max-rollouts=0", "--max-rollouts-per-namespace=0")
"""Of the operator: loopback and every host, and no queue of rollouts in the way."""
_OF_REFERENCES = ("Accepted", "ResolvedRefs", "Ready")
_POLL = 0.4
_TRAFFIC_SECONDS = 2.0
_PROJECT = "checkout"
_STAMP = "gatewaytelemetry.id"
_CANARY = "gatewaytelemetry.canary"

Said = dict[str, tuple[str, str]]
"""Status and reason by type of condition."""


def words(text: str) -> tuple[str, ...]:
    """Return an expectation of a row as type, status and reason."""
    return tuple(text.split())


class Traffic:
    """A gateway that serves requests: a real exporter with what the operator wrote into the live Deployment."""

    def __init__(self, kube: Kube, namespace: str, setting: Setting) -> None:
        self._kube = kube
        self._namespace = namespace
        self._setting = setting
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"traffic-{namespace}")

    def start(self) -> None:
        """Begin; traces are made once the operator has written."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end."""
        self._stop.set()

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(30)

    def _serve(self) -> None:
        live = self._written()
        if live is None:
            return
        env = pod_environment(self._kube, live)
        provider = TracerProvider(resource=Resource(_attributes(env)))
        provider.add_span_processor(SimpleSpanProcessor(_exporter(env, self._ca(live))))
        tracer = provider.get_tracer("gateway")
        try:
            while not self._stop.wait(_TRAFFIC_SECONDS):
                carrier = {}
                if self._setting.foreign_parent:
                    carrier = {"traceparent": f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"}
                with tracer.start_as_current_span("chat", TraceContextTextMapPropagator().extract(carrier)):
                    pass
        finally:
            provider.shutdown()

    def _written(self) -> Object | None:
        """Return the Deployment once the operator has written to it; None when it is time to end before that."""
        while not self._stop.wait(_TRAFFIC_SECONDS):
            live = self._kube.get("deployment", self._namespace, "gateway")
            if live is not None and "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in pod_environment(self._kube, live):
                return live
        return None

    def _ca(self, live: Object) -> Path | None:
        content = [file.content for mount in pod_files(self._kube, live) for file in mount.files.values()]
        pem = next((item for item in content if item.startswith(b"-----BEGIN CERTIFICATE")), None)
        if pem is None:
            return None
        path = self._setting.certificates["good"].certificate.with_name(f"ca-of-{self._namespace}.crt")
        path.write_bytes(pem)
        return path


def _attributes(env: dict[str, str]) -> dict[str, str]:
    pairs = (item.partition("=") for item in env.get("OTEL_RESOURCE_ATTRIBUTES", "").split(",") if "=" in item)
    return {name: value for name, _, value in pairs}


def _exporter(env: dict[str, str], ca: Path | None) -> OTLPSpanExporter:
    return OTLPSpanExporter(
        endpoint=env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        headers=parse_env_headers(env["OTEL_EXPORTER_OTLP_TRACES_HEADERS"], liberal=True),
        certificate_file=None if ca is None else str(ca),
        timeout=2,
    )


@dataclass
class Case:
    """A row as it is played.

    Attributes:
        phase: ``fault``, ``healing``, ``later``, ``done``.
        programmed: when the gateway's pods ran with the settings, on the clock.
        told: seconds from the fault to the right word of the target, and from ``programmed`` to that of the gateway.
        healed: seconds from the end of the fault until all is green; None where it does not end.
        again: seconds from a fault that begins later to the right word of the target.
        greens: conditions that were True while ground truth has nothing of the sort.
        reds: conditions that were False while nothing was wrong.
        said: what was said last.
    """

    name: str
    row: Row
    namespace: str
    setting: Setting
    traffic: Traffic
    phase: str = "fault"
    since: float = 0.0
    programmed: float = 0.0
    told: dict[str, float] = field(default_factory=dict)
    healed: float | None = None
    again: float | None = None
    greens: set[str] = field(default_factory=set)
    reds: set[str] = field(default_factory=set)
    said: dict[str, Said] = field(default_factory=dict)

    def expected(self) -> dict[str, tuple[str, str, str]]:
        """Return type, status and reason by kind."""
        type_, status, reason = words(self.row.target)
        gateway_status, gateway_reason = words(self.row.gateway)
        return {"target": (type_, status, reason), "gateway": ("Delivered", gateway_status, gateway_reason)}

    def says(self, kind: str, type_: str) -> tuple[str, str]:
        """Return status and reason."""
        return self.said.get(kind, {}).get(type_, ("", ""))

    def right(self, kind: str) -> bool:
        """Tell whether target or gateway says what it must of the fault."""
        type_, *rest = self.expected()[kind]
        return self.says(kind, type_) == tuple(rest)

    def green(self) -> bool:
        """Tell whether all is said to be well."""
        return self.says("target", "Ready")[0] == "True" and self.says("gateway", "Delivered")[0] == "True"

    def delivered(self) -> bool:
        """Ground truth: a trace of the gateway is in the intended project and workspace."""
        return any(_STAMP in run.body.metadata for run in self._runs())

    def ingested(self) -> bool:
        """Ground truth: a canary is there."""
        return any(_CANARY in run.body.metadata for run in self._runs())

    def _runs(self) -> list:  # type: ignore[type-arg]
        return self.setting.langsmith.store.runs(WORKSPACE, project=_PROJECT)


class Matrix:
    """All rows under one operator."""

    def __init__(self, kube: Kube, cases: Sequence[Case]) -> None:
        self._kube = kube
        self.cases = list(cases)

    def play(self, tell: Callable[[str], None] = lambda _text: None) -> None:
        """Play all rows to their end, or to their deadline.

        Args:
            tell: takes a line about progress.
        """
        began = time.monotonic()
        deadline = began + PATIENCE + 4 * ONE_INTERVAL
        for case in self.cases:
            case.since = time.monotonic()
            case.traffic.start()
        open_ = -1
        while time.monotonic() < deadline:
            self._look()
            left = [case.name for case in self.cases if case.phase != "done"]
            if len(left) != open_:
                open_ = len(left)
                tell(
                    f"{time.monotonic() - began:.0f} s: {open_} rows to go{': ' + ', '.join(left[:6]) if left else ''}"
                )
            if not left:
                return
            time.sleep(_POLL)

    def _look(self) -> None:
        said: dict[tuple[str, str], Said] = {}
        for kind, plural in (("target", "langsmithtarget"), ("gateway", "gatewaytelemetry")):
            for item in self._kube.list(plural):
                found = {
                    c["type"]: (c["status"], c["reason"]) for c in (item.get("status") or {}).get("conditions") or ()
                }
                said[kind, item["metadata"]["namespace"]] = found
        now = time.monotonic()
        for case in self.cases:
            case.said = {kind: said.get((kind, case.namespace), {}) for kind in ("target", "gateway")}
            self._judge(case, now)
            self._step(case, now)

    def _judge(self, case: Case, now: float) -> None:
        # Ground truth only grows, and is read after the conditions: what it lacks now it lacked then.
        if case.says("gateway", "Delivered")[0] == "True" and not case.delivered():
            case.greens.add("Delivered")
        if case.says("target", "Ingesting")[0] == "True" and not case.ingested():
            case.greens.add("Ingesting")
        _, status, _ = case.expected()["target"]
        if case.phase == "fault" and status == "False" and case.says("target", "Ready")[0] == "True":
            case.greens.add("Ready")
        if case.phase == "done" or (case.phase == "healing" and now - case.since < ONE_INTERVAL):
            return
        expected = _may_be_false(case) if case.phase in ("fault", "later") else set()
        for kind, types in case.said.items():
            for name, (seen, _reason) in types.items():
                arriving = case.phase == "fault" and now - case.since < ARRIVAL and name in _OF_REFERENCES
                if seen == "False" and name not in expected and not arriving and not _starting(kind, name, types):
                    case.reds.add(f"{kind} {name}")

    def _step(self, case: Case, now: float) -> None:
        after = now - case.since
        if case.phase == "fault":
            if case.says("gateway", "Programmed")[0] == "True":
                case.programmed = case.programmed or now
            if case.right("target"):
                case.told.setdefault("target", after)
            if case.right("gateway"):
                case.told.setdefault("gateway", now - (case.programmed or now))
            if len(case.told) == 2 and after > HOLD and case.right("target") and case.right("gateway"):
                self._heal(case)
        elif case.phase == "healing" and case.green():
            case.healed = after
            case.phase = "done"
            if case.row.later:
                case.row.begin(case.setting)
                case.phase, case.since = "later", time.monotonic()
        elif case.phase == "later" and case.right("target"):
            case.again, case.phase = after, "done"

    def _heal(self, case: Case) -> None:
        if not case.row.heals or words(case.row.gateway)[0] == "True":
            case.phase = "done"
            return
        case.setting.whole()
        case.phase, case.since = "healing", time.monotonic()
        if case.row.target.startswith("Ingesting") or "workspaceId" not in case.setting.spec:
            # A canary is billed, and so is not sent again soon by itself: a person asks.
            spec = {"spec": {"workspaceId": WORKSPACE}}
            asked = {"metadata": {"annotations": {"gatewaytelemetry.dev/requestedAt": "healed"}}, **spec}
            self._kube.merge_patch("langsmithtarget", case.namespace, "prod", asked)


def _may_be_false(case: Case) -> set[str]:
    expected = {type_ for type_, status, _ in case.expected().values() if status == "False"}
    return {*expected, *({"Ready"} if expected else ())}


def _starting(kind: str, name: str, types: Said) -> bool:
    """Tell the gateway's ordinary way to its first rollout from a fault."""
    return kind == "gateway" and name in ("Programmed", "Ready") and types.get("Programmed", ("", ""))[0] == "False"


@contextmanager
def matrix(kube: Kube, namespaces: Sequence[str], folder: Path, names: Sequence[str] = tuple(ROWS)) -> Iterator[Matrix]:
    """Make every row's LangSmith, target, Deployment and gateway, with its fault on.

    Args:
        namespaces: one for each row, which the operator watches.
    """
    ca = CertificateAuthority(folder)
    with ExitStack() as stack:
        cases = [_case(kube, stack, ca, name, namespace) for name, namespace in zip(names, namespaces, strict=True)]
        try:
            yield Matrix(kube, cases)
        finally:
            for case in cases:
                case.traffic.stop()
            for case in cases:
                case.traffic.join()


def _case(kube: Kube, stack: ExitStack, ca: CertificateAuthority, name: str, namespace: str) -> Case:
    certificates = ca.kinds("127.0.0.1")
    key = f"lsv2_sk_{secrets.token_hex(16)}_matrix"
    langsmith = StandIn("langsmith/dev", tls=certificates["good"], keys={key: Key((WORKSPACE,))})
    stack.enter_context(langsmith)
    reference = {"secretRef": {"name": "langsmith", "key": "api-key"}}
    spec: Object = {
        "selfHosted": {"url": langsmith.url},
        "credentials": {"ingest": reference, "read": reference},
        "caBundleRef": {"kind": "ConfigMap", "name": "langsmith-ca", "key": "ca.crt"},
        "workspaceId": WORKSPACE,
        "verification": {"probeInterval": f"{INTERVAL:.0f}s"},
    }
    setting = Setting(langsmith, key, certificates, spec)
    row = ROWS[name]
    row.begin(setting)
    kube.apply(objects.secret(namespace, key=key))
    kube.apply(objects.ca_bundle(namespace, ca.bundle.read_text()))
    kube.apply(objects.deployment(namespace))
    kube.apply(objects.target(namespace, project=_PROJECT, **setting.spec))
    kube.apply(objects.gateway(namespace))
    return Case(name, row, namespace, setting, Traffic(kube, namespace, setting))


def measure(kube: Kube, kubeconfig: Path, folder: Path, names: Sequence[str] = tuple(ROWS)) -> list[Case]:
    """Play rows of the matrix under an operator of its own, and return them."""
    with (
        watching(kube, kubeconfig, folder / "operator", len(names), *FLAGS, verify=True) as operator,
        matrix(kube, [operator.namespace() for _ in names], folder / "pki", names) as played,
    ):
        played.play(say)
        return played.cases


def report(cases: Sequence[Case]) -> None:
    """Print the figures that matter, and the table."""
    probed = [case.told["target"] for case in cases if "target" in case.told and not case.row.slow]
    again = [case.again for case in cases if case.again is not None]
    figure("fault_rows", len(cases), "rows")
    figure("fault_rows_without_the_right_reason", sum(len(case.told) < 2 for case in cases), "rows", "0")
    figure("fault_false_greens", sum(len(case.greens) for case in cases), "conditions", "0")
    figure("fault_false_reds", sum(len(case.reds) for case in cases), "conditions", "0")
    figure("fault_found_when_the_target_changes", max(probed), "s", f"below {ONE_INTERVAL:.0f}")
    figure("fault_found_when_it_begins_later", max(again), "s", f"below {ONE_INTERVAL:.0f}")
    say("\n" + table(cases))


def table(cases: Sequence[Case]) -> str:
    """Return the matrix as Markdown."""
    lines = [
        "| fault | target says | after | gateway says | after | green after its end | found when it begins later |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        type_, status, reason = case.expected()["target"]
        gateway = " ".join(case.expected()["gateway"][1:])
        seconds = [
            _seconds(value) for value in (case.told.get("target"), case.told.get("gateway"), case.healed, case.again)
        ]
        lines.append(
            f"| {case.row.fault} | {type_} {status} `{reason}` | {seconds[0]} | Delivered {gateway} | {seconds[1]} "
            f"| {seconds[2]} | {seconds[3]} |"
        )
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} s"
