"""OpenTelemetry's Python exporter writes, LangSmith's SDK reads back."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from langsmith.integrations.otel import langsmith_run_id_from_otel_span_id
from langsmith.utils import LangSmithNotFoundError
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression

from tests.support.langsmith import CertificateAuthority, StandIn
from tests.unit.langsmith_standin.clients import WORKSPACE, sdk, tracing
from tests.unit.langsmith_standin.conftest import KEYS

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated and will be removed after Jan 31, 2027")


@pytest.fixture(params=["selfhosted", "selfhosted below langsmith/dev", "saas"])
def any_form(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    form, _, base_path = request.param.partition(" below ")
    with StandIn(base_path, form, keys=KEYS) as stand_in:
        yield stand_in


def test_a_trace_is_read_back_as_it_was_written(any_form: StandIn) -> None:
    with tracing(any_form, project="checkout", resource={"gatewaytelemetry.dev/id": "abc"}) as tracer:
        with tracer.start_as_current_span("request", attributes={"langsmith.metadata.nonce": "n1"}) as root:
            attributes: dict[str, str | int | float] = {
                "gen_ai.operation.name": "chat",
                "gen_ai.system": "openai",
                "gen_ai.request.model": "gpt-test",
                "gen_ai.request.temperature": 0.5,
                "gen_ai.prompt.0.role": "user",
                "gen_ai.prompt.0.content": "hello",
                "gen_ai.completion.0.role": "assistant",
                "gen_ai.completion.0.content": "world",
                "gen_ai.usage.input_tokens": 3,
                "gen_ai.usage.output_tokens": 4,
                "langsmith.span.tags": "a, b",
            }
            with tracer.start_as_current_span("model call", attributes=attributes) as child:
                child_id = langsmith_run_id_from_otel_span_id(child.get_span_context().span_id)
        root_id = langsmith_run_id_from_otel_span_id(root.get_span_context().span_id)
    any_form.store.wait_for_runs(2)

    with sdk(any_form.api_url) as client:
        project = client.read_project(project_name="checkout")
        assert project.tenant_id == UUID(WORKSPACE)
        runs = {run.name: run for run in client.list_runs(project_id=project.id)}
        assert set(runs) == {"request", "model call"}
        top, call = runs["request"], runs["model call"]
        assert (top.id, top.trace_id, top.parent_run_id, top.session_id) == (root_id, root_id, None, project.id)
        assert (call.id, call.trace_id, call.parent_run_id) == (child_id, root_id, root_id)
        assert call.parent_run_ids == [root_id]
        assert call.dotted_order.split(".")[0] == top.dotted_order
        assert (top.run_type, call.run_type) == ("chain", "llm")
        assert (top.status, call.status) == ("success", "success")
        assert call.inputs == {"messages": [{"role": "user", "content": "hello"}]}
        assert call.outputs == {"messages": [{"role": "assistant", "content": "world"}]}
        assert (call.prompt_tokens, call.completion_tokens, call.total_tokens) == (3, 4, 7)
        assert call.tags == ["a", "b"]
        assert top.metadata == {"gatewaytelemetry.dev/id": "abc", "nonce": "n1"}
        assert (call.metadata["ls_provider"], call.metadata["ls_model_name"]) == ("openai", "gpt-test")
        assert call.extra is not None
        assert call.extra["invocation_params"] == {"model": "gpt-test", "temperature": 0.5}
        assert client.read_run(root_id).name == "request"
        assert top.start_time <= call.start_time
        assert call.app_path == f"/o/{WORKSPACE}/projects/p/{project.id}/r/{child_id}?trace_id={root_id}"


@pytest.mark.parametrize("project", ["checkout", "check out", "a, b; c", "café", "100%", "x=y"])
def test_project_names_arrive_unchanged(langsmith: StandIn, project: str) -> None:
    with tracing(langsmith, project=project) as tracer:
        tracer.start_span("root").end()
    langsmith.store.wait_for_runs(1)
    with sdk(langsmith.api_url) as client:
        assert [found.name for found in client.list_projects()] == [project]
        assert [run.name for run in client.list_runs(project_name=project)] == ["root"]


def test_project_names_from_the_environment_are_decoded_by_the_exporter(
    langsmith: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "Langsmith-Project=a%20b%2C%20caf%C3%A9")
    with tracing(langsmith, project=None) as tracer:
        tracer.start_span("root").end()
    [run] = langsmith.store.wait_for_runs(1)
    [project] = langsmith.store.projects()
    assert run.project_id == project.id
    assert project.name == "a b, café"


def test_without_a_project_header_the_project_is_default(langsmith: StandIn) -> None:
    with tracing(langsmith, project=None) as tracer:
        tracer.start_span("root").end()
    langsmith.store.wait_for_runs(1, project="default")


def test_an_attribute_names_the_project_of_its_span(langsmith: StandIn) -> None:
    with tracing(langsmith, project="header") as tracer:
        tracer.start_span("root", attributes={"langsmith.trace.session_name": "attribute"}).end()
    langsmith.store.wait_for_runs(1, project="attribute")
    assert [project.name for project in langsmith.store.projects()] == ["attribute"]


def test_gzip_is_read(langsmith: StandIn) -> None:
    with tracing(langsmith, compression=Compression.Gzip) as tracer:
        tracer.start_span("root").end()
    langsmith.store.wait_for_runs(1)
    assert [seen.content_encoding for seen in langsmith.store.requests("ingest")] == ["gzip"]


def test_a_private_ca_is_trusted_when_given(ca: CertificateAuthority) -> None:
    with StandIn("langsmith/dev", tls=ca.server("127.0.0.1"), keys=KEYS) as langsmith:
        with tracing(langsmith, ca=ca.bundle) as tracer:
            tracer.start_span("root").end()
        langsmith.store.wait_for_runs(1)
        with sdk(langsmith.api_url, ca=ca.bundle) as client:
            assert [run.name for run in client.list_runs(project_name="checkout")] == ["root"]


def test_errors_and_exceptions_become_the_error_of_a_run(langsmith: StandIn) -> None:
    with tracing(langsmith) as tracer:
        with pytest.raises(ValueError, match="boom"), tracer.start_as_current_span("failing"):
            raise ValueError("boom")
        with tracer.start_as_current_span("refused") as span:
            span.set_status(trace.StatusCode.ERROR, "quota used up")
    langsmith.store.wait_for_runs(2)
    with sdk(langsmith.api_url) as client:
        errors = {run.name: (run.status, run.error) for run in client.list_runs(project_name="checkout", error=True)}
    assert errors == {"failing": ("error", "ValueError: boom"), "refused": ("error", "quota used up")}


def test_nothing_is_visible_before_ingest_is_done(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 3600.0
    with tracing(langsmith) as tracer:
        tracer.start_span("root").end()
    assert [record.fate for record in langsmith.store.spans()] == ["pending"]
    with sdk(langsmith.api_url) as client:
        assert not client.has_project("checkout")
        with pytest.raises(LangSmithNotFoundError):
            client.read_run(langsmith.store.spans()[0].body.id)


def test_ingest_ends_after_its_delay(langsmith: StandIn) -> None:
    langsmith.store.ingest_delay = 0.1
    with tracing(langsmith) as tracer:
        tracer.start_span("root").end()
    langsmith.store.wait_for_runs(1, project="checkout")
