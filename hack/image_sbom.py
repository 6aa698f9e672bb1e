"""The bill of materials of the operator's image: its Python packages and the Debian packages that it stands on."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hack import sbom
from hack.image_archive import architecture
from hack.image_base import Package, base
from hack.image_cache import ImageError


def write(path: Path, image: str) -> None:
    """Write the bill of an image as CycloneDX JSON.

    Args:
        path: the file.
        image: name and tag, recorded as what the bill is of.

    Raises:
        ImageError: the packages are not those that are locked, or cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="gateway-telemetry-sbom-") as folder:
        try:
            bill = sbom.bill(sbom.environment(Path(folder) / "venv"))
        except (sbom.SbomError, subprocess.CalledProcessError) as error:
            raise ImageError(f"bill of materials: {error}") from error
    found = base()
    bill["components"] += [debian_component(package, release(found.root)) for package in found.packages]
    about = bill.setdefault("metadata", {}).setdefault("properties", [])
    about.append({"name": "gatewaytelemetry.dev:image", "value": image})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n")


def release(root: Path) -> tuple[str, str]:
    """Return distribution and version of a tree, such as ``("debian", "12")``."""
    fields = dict(line.split("=", 1) for line in (root / "usr/lib/os-release").read_text().splitlines() if "=" in line)
    return fields["ID"].strip('"'), fields.get("VERSION_ID", "").strip('"')


def debian_component(package: Package, of: tuple[str, str]) -> dict[str, Any]:
    """Return a Debian package as a component (https://github.com/package-url/purl-spec, type deb)."""
    distribution, version = of
    place = f"{distribution}/{quote(package.name, safe='')}@{quote(package.version, safe='~')}"
    purl = f"pkg:deb/{place}?arch={architecture()}&distro={distribution}-{version}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    }
