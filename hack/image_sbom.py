"""The bill of materials of the operator's image: its Python packages and the Debian packages that it stands on."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

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
    bill["components"] += [debian_component(package) for package in base().packages]
    about = bill.setdefault("metadata", {}).setdefault("properties", [])
    about.append({"name": "gatewaytelemetry.dev:image", "value": image})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bill, indent=2) + "\n")


def debian_component(package: Package) -> dict[str, Any]:
    """Return a Debian package as a component (https://github.com/package-url/purl-spec, type deb)."""
    version = package.version.replace("+", "%2B").replace(":", "%3A")
    purl = f"pkg:deb/debian/{package.name.replace('+', '%2B')}@{version}?arch={architecture()}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": package.sha256}],
    }
