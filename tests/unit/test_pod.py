"""Pods that run nowhere: what the kubelet would give a container, and a real process that has just that."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import pod_process
from tests.support.pod import (
    File,
    Mount,
    PodError,
    container_of,
    expand,
    pod_arguments,
    pod_environment,
    pod_files,
)
from tests.support.pod_process import PodProcess

Object = dict[str, Any]
needs_namespaces = pytest.mark.skipif(pod_process.unavailable() is not None, reason=str(pod_process.unavailable()))


class Objects:
    """Live objects of namespace "team", by kind and name."""

    def __init__(self, *items: Object) -> None:
        self._items = {(item["kind"], "team", item["metadata"]["name"]): item for item in items}

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        return self._items.get((kind, str(namespace), name))


def secret(name: str, **data: bytes) -> Object:
    encoded = {key.replace("_", "-"): base64.b64encode(value).decode() for key, value in data.items()}
    return {"kind": "Secret", "metadata": {"name": name}, "data": encoded}


def config(name: str, binary: dict[str, bytes] | None = None, **data: str) -> Object:
    encoded = {key: base64.b64encode(value).decode() for key, value in (binary or {}).items()}
    return {"kind": "ConfigMap", "metadata": {"name": name}, "data": data, "binaryData": encoded}


def deployment(container: Object, volumes: list[Object] | None = None, **pod_spec: Any) -> Object:
    return {
        "metadata": {"name": "gateway", "namespace": "team"},
        "spec": {
            "template": {
                "metadata": {"labels": {"app": "gw"}, "annotations": {"note/x": "n"}},
                "spec": {"containers": [{"name": "main", **container}], "volumes": volumes or [], **pod_spec},
            }
        },
    }


def environment(
    *objects: Object, env: list[Object] | None = None, env_from: list[Object] | None = None
) -> dict[str, str]:
    live = deployment({"env": env or [], "envFrom": env_from or []})
    return pod_environment(Objects(*objects), live, "main")


def files(volume: Object, *objects: Object, **mount: Any) -> dict[str, tuple[bytes, int]]:
    live = deployment({"volumeMounts": [{"name": "v", "mountPath": "/x/", **mount}]}, [{"name": "v", **volume}])
    [found] = pod_files(Objects(*objects), live)
    assert found.path == "/x"
    return {name: (file.content, file.mode) for name, file in found.files.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)-$(B)", "1-2"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(NONE)", "$(NONE)"),
        ("$A $", "$A $"),
        ("$(A", "$(A"),
        ("$$", "$"),
        ("$()", "$()"),
    ],
)
def test_references_expand_as_the_kubelet_does(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


def test_variables_see_what_stands_before_them_and_the_last_of_a_name_wins() -> None:
    env = [
        {"name": "LATE", "value": "$(HOST)"},
        {"name": "HOST", "value": "h"},
        {"name": "URL", "value": "https://$(HOST)/$(LATE)"},
        {"name": "EMPTY"},
        {"name": "TWICE", "value": "first"},
        {"name": "TWICE", "value": "second"},
    ]
    expected = {"LATE": "$(HOST)", "HOST": "h", "URL": "https://h/$(HOST)", "EMPTY": "", "TWICE": "second"}
    assert environment(env=env) == expected


def test_variables_come_from_secrets_configmaps_and_fields() -> None:
    def ref(kind: str, key: str, name: str = "s") -> Object:
        return {kind: {"name": name, "key": key}}

    env: list[Object] = [
        {"name": "KEY", "valueFrom": ref("secretKeyRef", "api-key")},
        {"name": "MODE", "valueFrom": ref("configMapKeyRef", "mode")},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "BOTH", "value": "$(MODE):$(KEY)"},
    ]
    assert environment(secret("s", api_key=b"a$(b)c"), config("s", mode="fast"), env=env) == {
        "KEY": "a$(b)c",
        "MODE": "fast",
        "NAMESPACE": "team",
        "NAME": "gateway-0",
        "APP": "gw",
        "BOTH": "fast:a$(b)c",
    }


def test_variables_of_a_whole_object_give_way_to_named_ones() -> None:
    env_from: list[Object] = [
        {"configMapRef": {"name": "c"}},
        {"prefix": "P_", "secretRef": {"name": "s"}},
        {"secretRef": {"name": "none", "optional": True}},
    ]
    found = environment(
        config("c", A="1", B="1"), secret("s", A=b"2"), env=[{"name": "B", "value": "own"}], env_from=env_from
    )
    assert found == {"A": "1", "B": "own", "P_A": "2"}


@pytest.mark.parametrize("reference", [{"name": "none", "key": "k"}, {"name": "s", "key": "none"}])
@pytest.mark.parametrize("kind", ["secretKeyRef", "configMapKeyRef"])
def test_what_is_optional_may_be_missing_and_nothing_else(kind: str, reference: Object) -> None:
    objects = (secret("s", k=b"v"), config("s", k="v"))
    optional = {"name": "X", "valueFrom": {kind: {**reference, "optional": True}}}
    assert environment(*objects, env=[optional]) == {}
    with pytest.raises(PodError, match=r"none.* not found|couldn't find key none in .* team/s"):
        environment(*objects, env=[{"name": "X", "valueFrom": {kind: reference}}])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, "Secret s: the value of k is not UTF-8"),
        ({"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "fieldRef spec.nodeName is not supported"),
        ({"valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}, "resourceFieldRef is not supported"),
    ],
)
def test_what_cannot_be_had_is_refused(entry: Object, message: str) -> None:
    with pytest.raises(PodError, match=message):
        environment(secret("s", k=b"\xff"), env=[{"name": "X", **entry}])


def test_a_container_is_found_by_name_or_as_the_only_one() -> None:
    live = deployment({"args": ["--port", "$(PORT)", "$$(PORT)"]})
    assert container_of(live)["name"] == "main"
    assert pod_arguments(live, {"PORT": "4000"}) == ["--port", "4000", "$(PORT)"]
    live["spec"]["template"]["spec"]["containers"].append({"name": "side"})
    assert container_of(live, "side") == {"name": "side"}
    with pytest.raises(PodError, match="no container None among main, side"):
        container_of(live)
    with pytest.raises(PodError, match="no container 'x' among main, side"):
        container_of(live, "x")


def test_volumes_hold_what_their_sources_say() -> None:
    tls = secret("s", ca_crt=b"CA", key=b"\x00")
    settings = config("c", {"bin": b"\x01"}, text="t")
    assert files({"secret": {"secretName": "s"}}, tls) == {"ca-crt": (b"CA", 0o644), "key": (b"\x00", 0o644)}
    item = {"key": "ca-crt", "path": "sub/ca.crt"}
    chosen = {"secret": {"secretName": "s", "items": [item], "defaultMode": 0o400}}
    assert files(chosen, tls) == {"sub/ca.crt": (b"CA", 0o400)}
    assert files({"configMap": {"name": "c"}}, settings) == {"text": (b"t", 0o644), "bin": (b"\x01", 0o644)}
    sources = [
        {"secret": {"name": "s", "items": [{**item, "mode": 0o440}]}},
        {"configMap": {"name": "c", "items": [{"key": "text", "path": "t"}]}},
        {"secret": {"name": "none", "optional": True}},
    ]
    projected = {"projected": {"sources": sources, "defaultMode": 0o600}}
    assert files(projected, tls, settings) == {"sub/ca.crt": (b"CA", 0o440), "t": (b"t", 0o600)}
    assert files({"secret": {"secretName": "none", "optional": True}}) == {}
    assert files({"configMap": {"name": "c"}}, settings, subPath="text") == {"": (b"t", 0o644)}
    assert files(chosen, tls, subPath="sub") == {"ca.crt": (b"CA", 0o400)}


def test_only_an_emptydir_can_be_written_to() -> None:
    volumes = [{"name": "e", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s"}}]
    mounts = [
        {"name": "e", "mountPath": "/e"},
        {"name": "e", "mountPath": "/r", "readOnly": True},
        {"name": "s", "mountPath": "/s"},
    ]
    found = pod_files(Objects(secret("s")), deployment({"volumeMounts": mounts}, volumes))
    assert [(item.path, item.read_only) for item in found] == [("/e", False), ("/r", True), ("/s", True)]


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"secret": {"secretName": "none"}}, "secret team/none not found"),
        ({"configMap": {"name": "c", "items": [{"key": "x", "path": "x"}]}}, "team/c: references non-existent key x"),
        ({"hostPath": {"path": "/"}}, "volume v: hostPath is not supported"),
        ({"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, "serviceAccountToken is not supported"),
    ],
)
def test_a_volume_that_cannot_be_had_is_refused(volume: Object, message: str) -> None:
    with pytest.raises(PodError, match=message):
        files(volume, config("c", k="v"))


def test_secrets_do_not_show_in_what_is_printed() -> None:
    assert "MARKED" not in repr(Mount("/x", {"k": File(b"MARKED")}, read_only=True))


def run(tmp_path: Path, script: str, env: dict[str, str], *mounts: Mount) -> str:
    with PodProcess(["sh", "-c", script], env, mounts, log=tmp_path / "log") as process:
        code = process.wait()
        assert code == 0, process.tail()
    return (tmp_path / "log").read_text()


@needs_namespaces
def test_a_process_has_the_given_environment_and_nothing_of_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "machine")
    printed = run(tmp_path, f"exec {sys.executable} -c 'import os; print(sorted(os.environ.items()))'", {"LC_ALL": "C"})
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    expected = [("HOME", "/pod-home"), ("LC_ALL", "C"), ("PATH", path), ("PWD", "/pod-home")]
    assert printed == f"{expected}\n"


@needs_namespaces
def test_a_process_sees_its_files_at_paths_that_the_machine_does_not_have(tmp_path: Path) -> None:
    mounts = (
        Mount("/etc/gateway-telemetry", {"ca.crt": File(b"CA\n", 0o440)}, read_only=True),
        Mount("/app/config.yaml", {"": File(b"config\n")}, read_only=True),
        Mount("/app/cache/deep", {}, read_only=False),
        Mount("/tmp", {}, read_only=False),  # noqa: S108 the pod's own
    )
    before = {path: path.exists() for path in (Path("/etc/gateway-telemetry"), Path("/app"), Path("/pod-home"))}
    script = """set -e
        cat /etc/gateway-telemetry/ca.crt /app/config.yaml
        stat -c %a /etc/gateway-telemetry/ca.crt
        if touch /etc/gateway-telemetry/x 2> /dev/null; then echo writable; fi
        touch /app/cache/deep/written; ls /app /app/cache/deep /tmp
        test -s /etc/passwd; test -e /dev/null; test -d /proc/self"""
    printed = run(tmp_path, script, {}, *mounts)
    assert printed == "CA\nconfig\n440\n/app:\ncache\nconfig.yaml\n\n/app/cache/deep:\nwritten\n\n/tmp:\n"
    assert before == dict.fromkeys(before, False)
    assert {path: path.exists() for path in before} == before
    assert "gateway-telemetry" not in Path("/proc/self/mountinfo").read_text()


@needs_namespaces
def test_a_process_ends_with_its_children_and_leaves_no_files(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 300 & echo $!; trap 'exit 3' TERM; while :; do sleep 0.05; done"
    with PodProcess(["sh", "-c", script], {}, [], log=tmp_path / "log") as process:
        while not (tmp_path / "log").read_text():
            process.check()
            time.sleep(0.02)
        child = int((tmp_path / "log").read_text())
        folder = process._folder
        assert folder is not None
        assert folder.is_dir()
    assert process.wait() == 3
    assert not folder.exists()
    assert not running(child)


@needs_namespaces
def test_a_process_ends_when_the_one_that_wanted_it_is_killed(tmp_path: Path) -> None:
    code = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})
from tests.support.pod_process import PodProcess
process = PodProcess(["sh", "-c", "echo up; exec sleep 300"], {{}}, [], log=Path({str(tmp_path / "log")!r})).start()
while not process.tail():
    time.sleep(0.02)
print(process.pid, process._folder, flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        assert running(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while running(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    subprocess.run(["rm", "-r", folder], check=True)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@needs_namespaces
@pytest.mark.parametrize(
    ("command", "text"),
    [
        (["sh", "-c", "echo broken >&2; exit 4"], "sh ended with exit code 4\nbroken"),
        (["no-such-program"], "no-such-program ended with exit code 1\npod: .*No such file or directory"),
    ],
)
def test_an_early_end_is_reported_with_the_log(tmp_path: Path, command: list[str], text: str) -> None:
    with PodProcess(command, {}, [], log=tmp_path / "log") as process:
        process.wait()
        with pytest.raises(PodError, match=text):
            process.check()


@needs_namespaces
def test_volumes_in_one_place_are_refused(tmp_path: Path) -> None:
    outer, inner = Mount("/x", {}, read_only=True), Mount("/x/y", {}, read_only=True)
    for mounts in ([outer, inner], [inner, outer], [outer, outer]):
        process = PodProcess(["true"], {}, mounts, log=tmp_path / "log")
        with pytest.raises(PodError, match=r"volume inside another|must be unique"):
            process.start()
        assert process._folder is None


def test_without_namespaces_it_says_so_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2; exit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(PodError, match=r"not permitted here \(unshare: Operation not permitted\): run as root or"):
        PodProcess(["true"], {}, [], log=tmp_path / "log").start()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PodError, match=r"'unshare' .* not installed"):
        PodProcess(["true"], {}, [], log=tmp_path / "log").start()
