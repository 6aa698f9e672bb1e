"""The header list as OpenTelemetry's own parser reads it, and keys and projects that are refused by name."""

from __future__ import annotations

import base64
import traceback

import pytest
from opentelemetry.util.re import parse_env_headers

from gateway_telemetry.endpoint import EndpointProblem, Headers, clean_key, clean_project

WORKSPACE = "5f2c0a4e-0000-4000-8000-000000000000"
KEY = "lsv2_sk_abc"
MARK = "MARKED4711"


def test_names_and_order_are_fixed() -> None:
    headers = Headers(KEY, "checkout", "5F2C0A4E-0000-4000-8000-000000000000")
    assert list(headers.as_mapping().items()) == [
        ("x-api-key", "lsv2_sk_abc"),
        ("langsmith-project", "checkout"),
        ("x-tenant-id", "5f2c0a4e-0000-4000-8000-000000000000"),
    ]
    assert headers.percent_encoded() == (
        "x-api-key=lsv2_sk_abc,langsmith-project=checkout,x-tenant-id=5f2c0a4e-0000-4000-8000-000000000000"
    )
    assert headers.raw_list() == headers.percent_encoded()


def test_without_a_workspace_there_is_no_tenant_header() -> None:
    assert Headers(KEY, "checkout").percent_encoded() == "x-api-key=lsv2_sk_abc,langsmith-project=checkout"


@pytest.mark.parametrize(
    ("project", "encoded"),
    [
        ("My Project", "My%20Project"),
        ("a,b", "a%2Cb"),
        ("My Project, a", "My%20Project%2C%20a"),
        ("a;b", "a%3Bb"),
        ("100%", "100%25"),
        ("My%20Project", "My%2520Project"),
        ("a=b=c", "a%3Db%3Dc"),
        ("team/checkout", "team%2Fcheckout"),
        ('say "hi"', "say%20%22hi%22"),
        ("a+b&c", "a%2Bb%26c"),
        ("back\\slash", "back%5Cslash"),
        ("Über", "%C3%9Cber"),
        ("naïve café", "na%C3%AFve%20caf%C3%A9"),
        ("plain-1._~", "plain-1._~"),
    ],
)
def test_opentelemetry_reads_back_what_was_meant(project: str, encoded: str) -> None:
    clean, _ = clean_project(project)
    text = Headers(KEY, clean, WORKSPACE).percent_encoded()
    assert text == (
        f"x-api-key=lsv2_sk_abc,langsmith-project={encoded},x-tenant-id=5f2c0a4e-0000-4000-8000-000000000000"
    )
    for liberal in (False, True):
        assert dict(parse_env_headers(text, liberal=liberal)) == {
            "x-api-key": "lsv2_sk_abc",
            "langsmith-project": project,
            "x-tenant-id": "5f2c0a4e-0000-4000-8000-000000000000",
        }


def test_a_key_with_reserved_characters_is_read_back_too() -> None:
    text = Headers("k,e;y=%20+/", "checkout").percent_encoded()
    assert parse_env_headers(text)["x-api-key"] == "k,e;y=%20+/"


@pytest.mark.parametrize(
    ("project", "raw"),
    [
        ("My Project", "x-api-key=lsv2_sk_abc,langsmith-project=My Project"),
        ("a;b", "x-api-key=lsv2_sk_abc,langsmith-project=a;b"),
        ("100%", "x-api-key=lsv2_sk_abc,langsmith-project=100%"),
        ("a=b", "x-api-key=lsv2_sk_abc,langsmith-project=a=b"),
    ],
)
def test_the_raw_list_holds_values_as_they_are(project: str, raw: str) -> None:
    assert Headers(KEY, project).raw_list() == raw


@pytest.mark.parametrize(
    ("project", "what"),
    [
        ("a,b", "a comma"),
        ("a\nb", "an outer space or a newline"),
        ("a\rb", "an outer space or a newline"),
        (" a", "an outer space or a newline"),
        ("a ", "an outer space or a newline"),
    ],
)
def test_the_raw_list_refuses_what_it_cannot_carry(project: str, what: str) -> None:
    with pytest.raises(EndpointProblem) as caught:
        Headers(KEY, project).raw_list()
    assert caught.value.reason == "ProjectNameUnsupportedByAdapter"
    assert caught.value.message == (
        f"the value of langsmith-project holds {what}, which this gateway's header list cannot carry: rename it"
    )


def test_the_raw_list_refuses_a_key_without_telling_it() -> None:
    with pytest.raises(EndpointProblem) as caught:
        Headers(f"{MARK},x", "checkout").raw_list()
    assert caught.value.reason == "KeyMalformed"
    assert caught.value.message == (
        "the value of x-api-key holds a comma, which this gateway's header list cannot carry: store the bare key"
    )


@pytest.mark.parametrize("project", ["checkout", "My Project", "a,b;c=100%", "team/checkout", "x" * 256])
def test_an_ascii_project_is_taken_as_it_is(project: str) -> None:
    assert clean_project(project) == (project, ())


@pytest.mark.parametrize("project", ["Über", "café", "a\u00a0b", "ÿ"])
def test_a_latin_1_project_is_taken_with_a_warning(project: str) -> None:
    clean, notes = clean_project(project)
    assert clean == project
    assert [(note.topic, note.message) for note in notes] == [
        (
            "ProjectNotAscii",
            "the project's name is not ASCII: SDKs send it as Latin-1 bytes, so look whether it arrives as written",
        )
    ]


@pytest.mark.parametrize(
    ("project", "reason", "message"),
    [
        ("", "ProjectMissing", "the project's name is empty: write one"),
        (" \t", "ProjectMissing", "the project's name is empty: write one"),
        ("a\nb", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ("a\x00b", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ("a\x7fb", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ("a\x85b", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ("checkout\n", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        (" checkout", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ("checkout\u00a0", "InvalidSpec", "the project's name holds control characters or outer spaces: remove them"),
        ('"checkout"', "InvalidSpec", "the project's name is surrounded by quotes: remove them"),
        ("'checkout'", "InvalidSpec", "the project's name is surrounded by quotes: remove them"),
        (
            "Projekt-€",
            "ProjectNameNotHeaderSafe",
            "the project's name holds '€', which no HTTP header can carry: use an ASCII name",
        ),
        (
            "プロジェクト",
            "ProjectNameNotHeaderSafe",
            "the project's name holds 'プ', which no HTTP header can carry: use an ASCII name",
        ),
        (
            "a\ud800",
            "ProjectNameNotHeaderSafe",
            "the project's name holds '\\ud800', which no HTTP header can carry: use an ASCII name",
        ),
    ],
)
def test_a_project_that_cannot_travel_is_refused_by_name(project: str, reason: str, message: str) -> None:
    with pytest.raises(EndpointProblem) as caught:
        clean_project(project)
    assert (caught.value.reason, caught.value.message) == (reason, message)


@pytest.mark.parametrize(
    ("raw", "topics"),
    [
        (b"lsv2_sk_abc", []),
        (base64.b64decode("bHN2Ml9za19hYmMK"), ["KeyTrimmed"]),
        (b"lsv2_sk_abc\r\n", ["KeyTrimmed"]),
        (b"lsv2_sk_abc \t\n\n", ["KeyTrimmed"]),
    ],
)
def test_a_key_is_sent_without_what_ends_it(raw: bytes, topics: list[str]) -> None:
    key, notes = clean_key(raw)
    assert key == "lsv2_sk_abc"
    assert [note.topic for note in notes] == topics


def test_a_personal_token_is_taken_with_a_warning() -> None:
    key, notes = clean_key(b"lsv2_pt_abc\n")
    assert key == "lsv2_pt_abc"
    assert [note.topic for note in notes] == ["KeyTrimmed", "PersonalAccessToken"]
    assert notes[1].message == "this is a person's token: it ends with the person's account"


@pytest.mark.parametrize("raw", [b"test-key", b"0123456789abcdef", b"a,b;c=d%", b"bHN2", b"not+base64=="])
def test_a_key_of_an_unknown_form_is_taken_as_it_is(raw: bytes) -> None:
    assert clean_key(raw) == (raw.decode(), ())


SECRET = f"lsv2_sk_{MARK}".encode()
TWICE = base64.b64encode(SECRET)
REFUSED_KEYS = [
    ("empty", b"", "KeyEmpty", "the key is empty: store the LangSmith API key there"),
    ("only a newline", b"\n", "KeyEmpty", "the key is empty: store the LangSmith API key there"),
    ("only spaces", b" \t \r\n", "KeyEmpty", "the key is empty: store the LangSmith API key there"),
    ("double quotes", b'"' + SECRET + b'"', "KeyMalformed", "the key is surrounded by quotes: store the bare key"),
    ("single quotes", b"'" + SECRET + b"'\n", "KeyMalformed", "the key is surrounded by quotes: store the bare key"),
    ("backticks", b"`" + SECRET + b"`", "KeyMalformed", "the key is surrounded by quotes: store the bare key"),
    ("one quote", b'"' + SECRET, "KeyMalformed", "the key holds a quotation mark: store the bare key"),
    ("JSON", b'{"api-key":"' + SECRET + b'"}', "KeyMalformed", "the key holds a quotation mark: store the bare key"),
    ("Bearer", b"Bearer " + SECRET, "KeyMalformed", "the key begins with the word Bearer: store the bare key"),
    ("bearer", b"bearer\t" + SECRET, "KeyMalformed", "the key begins with the word Bearer: store the bare key"),
    (
        "line of an env file",
        b"K=" + SECRET,
        "KeyMalformed",
        "the key has something in front of lsv2_: store the bare key",
    ),
    ("space in front", b" " + SECRET, "KeyMalformed", "the key holds a space or line break: store the bare key"),
    ("two lines", SECRET + b"\n" + SECRET, "KeyMalformed", "the key holds a space or line break: store the bare key"),
    ("NUL", SECRET + b"\x00", "KeyMalformed", "the key holds control characters: store the bare key"),
    (
        "UTF-16",
        SECRET.decode().encode("utf-16-le"),
        "KeyMalformed",
        "the key holds control characters: store the bare key",
    ),
    ("BOM", b"\xef\xbb\xbf" + SECRET, "KeyMalformed", "the key holds bytes that are not ASCII: store the bare key"),
    ("binary", SECRET + b"\xff\xfe", "KeyMalformed", "the key holds bytes that are not ASCII: store the bare key"),
    ("twice encoded", TWICE, "KeyDoubleEncoded", "the key was base64-encoded twice: encode it once, or use stringData"),
    (
        "encoded three times",
        base64.b64encode(TWICE),
        "KeyDoubleEncoded",
        "the key was base64-encoded twice: encode it once, or use stringData",
    ),
    (
        "twice encoded, newline in and out",
        base64.b64encode(SECRET + b"\n") + b"\n",
        "KeyDoubleEncoded",
        "the key was base64-encoded twice: encode it once, or use stringData",
    ),
    (
        "twice encoded, no padding",
        TWICE.rstrip(b"="),
        "KeyDoubleEncoded",
        "the key was base64-encoded twice: encode it once, or use stringData",
    ),
    (
        "twice encoded with quotes",
        base64.b64encode(b'"' + SECRET + b'"'),
        "KeyDoubleEncoded",
        "the key was base64-encoded twice: encode it once, or use stringData",
    ),
    (
        "twice encoded legacy key",
        base64.b64encode(b"ls__" + MARK.encode()),
        "KeyDoubleEncoded",
        "the key was base64-encoded twice: encode it once, or use stringData",
    ),
    (
        "legacy",
        b"ls__" + MARK.encode(),
        "KeyLegacy",
        "keys that begin with ls__ ended in 2024: create a service key (lsv2_sk_)",
    ),
]


@pytest.mark.parametrize(("name", "raw", "reason", "message"), REFUSED_KEYS, ids=[row[0] for row in REFUSED_KEYS])
def test_a_key_that_is_none_is_refused_and_never_told(name: str, raw: bytes, reason: str, message: str) -> None:
    with pytest.raises(EndpointProblem) as caught:
        clean_key(raw)
    problem = caught.value
    assert (problem.reason, problem.message) == (reason, message)
    told = "".join(traceback.format_exception(problem)) + repr(problem) + repr(problem.__dict__)
    assert MARK not in told
    assert TWICE.decode()[8:] not in told
    # The context would carry the bytes into any logger that walks it, `from None` or not.
    assert problem.__context__ is None


def test_no_text_about_headers_holds_the_key() -> None:
    headers = Headers(f"lsv2_pt_{MARK}", "checkout", WORKSPACE)
    _, notes = clean_key(f"lsv2_pt_{MARK}\n".encode())
    assert MARK not in repr(headers) + str(headers) + repr(notes)
    assert repr(headers) == f"Headers(project='checkout', workspace_id='{WORKSPACE}')"
