"""One request through a gateway on behalf of ``check``: what its callers send, with the trace of a made-up caller."""

from __future__ import annotations

import json

import click
import httpx

from gateway_telemetry.langsmith import tls
from gateway_telemetry.langsmith.orphans import Ask

_TIMEOUT = 60.0
_PING = "Answer with the word ok."


class NoAnswer(Exception):
    """The gateway did not answer; the text names its host and repeats no key."""


def asking(url: str, key: str | None, model: str | None, ca_pem: str | None) -> Ask:
    """Return what sends the request.

    Args:
        url: of the request, whole.
        key: sent as a bearer token.
        model: a chat completion of this model is asked for; None is a GET.

    Raises:
        click.UsageError: the URL cannot be asked.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise click.UsageError("--through: write the URL of a request, e.g. http://localhost:4000/v1/chat/completions")
    where = parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"

    async def ask(traceparent: str) -> int:
        headers = {"traceparent": traceparent, **({"authorization": f"Bearer {key}"} if key else {})}
        problem = ""
        async with httpx.AsyncClient(verify=tls.context(ca_pem), timeout=_TIMEOUT, follow_redirects=False) as client:
            try:
                if model is None:
                    return (await client.get(parsed, headers=headers)).status_code
                body = {"model": model, "max_tokens": 5, "messages": [{"role": "user", "content": _PING}]}
                headers["content-type"] = "application/json"
                return (await client.post(parsed, headers=headers, content=json.dumps(body))).status_code
            except httpx.TimeoutException:
                problem = f"did not answer within {_TIMEOUT:g} s"
            except httpx.HTTPError as error:
                problem = f"cannot be asked ({type(error).__name__})"
        raise NoAnswer(f"--through: the gateway at {where} {problem}")  # outside: httpx' errors hold the request

    return ask
