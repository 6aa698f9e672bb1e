"""The stand-in as a process: ``python -m tests.support.langsmith --key lsv2_sk_x=WORKSPACE_UUID``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support.langsmith.control import Control
from tests.support.langsmith.identity import Key, is_uuid
from tests.support.langsmith.server import StandIn
from tests.support.langsmith.tls import CertificateAuthority, ServerCert


def _key(text: str) -> tuple[str, Key]:
    key, _, workspaces = text.partition("=")
    ids = tuple(workspaces.split(","))
    if not key or not all(is_uuid(workspace) for workspace in ids):
        raise argparse.ArgumentTypeError("write KEY=WORKSPACE_UUID[,WORKSPACE_UUID…]; several make an org-scoped key")
    return key, Key(workspaces=ids, scope="workspace" if len(ids) == 1 else "org")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.support.langsmith", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--public-host", help="host name in the printed URLs (default: --host)")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--base-path", default="")
    parser.add_argument("--form", choices=("selfhosted", "saas", "ui"), default="selfhosted")
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--key", type=_key, action="append", default=[], metavar="KEY=WORKSPACE_UUID")
    parser.add_argument("--ingest-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--orphan-ttl", type=float, default=6 * 3600.0, metavar="SECONDS")
    parser.add_argument("--control-port", type=int, help="serve the control endpoint (control.py) there; 0 picks one")
    parser.add_argument(
        "--certificates", type=Path, metavar="FOLDER", help="make a CA (ca.crt) and good and bad certificates there"
    )
    parser.add_argument("--certificate-name", action="append", default=[], metavar="NAME")
    arguments = parser.parse_args()
    if arguments.certificates and (arguments.tls_cert or not arguments.certificate_name):
        parser.error("--certificates needs --certificate-name, and takes the place of --tls-cert")
    if (arguments.tls_cert is None) != (arguments.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    return arguments


def main() -> None:
    """Serve until a signal ends the process."""
    arguments = _arguments()
    tls = ServerCert(arguments.tls_cert, arguments.tls_key) if arguments.tls_cert else None
    kinds = {} if tls is None else {"good": tls}
    if arguments.certificates:
        kinds = CertificateAuthority(arguments.certificates).kinds(*arguments.certificate_name)
        tls = kinds["good"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    langsmith = StandIn(
        arguments.base_path,
        arguments.form,
        tls,
        dict(arguments.key),
        arguments.host,
        arguments.port,
        public_host=arguments.public_host,
        ingest_delay=arguments.ingest_delay,
        orphan_ttl=arguments.orphan_ttl,
    )
    with langsmith, ExitStack() as more:
        addresses = {name: getattr(langsmith, name) for name in ("url", "api_url", "otlp_url", "traces_url", "port")}
        if arguments.control_port is not None:
            control = more.enter_context(Control(langsmith, kinds, arguments.host, arguments.control_port))
            addresses["control_url"] = f"http://{arguments.public_host or arguments.host}:{control.port}"
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
