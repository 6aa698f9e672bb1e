"""What images are made of: layers, archives, wheels, Debian packages. tests/node/test_image.py builds a real one."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
from hack import image_archive, image_base, image_cache, image_sbom, image_wheels
from hack.image_archive import Config
from hack.image_base import Package
from hack.image_cache import ImageError

LOCK = """\
aiohttp==3.14.5 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:cccc
typing-extensions==4.16.0 ; python_full_version < '3.13' \\
    --hash=sha256:dddd
"""


def tree(folder: Path) -> Path:
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "program").write_text("#!/bin/true\n")
    (folder / "b" / "program").chmod(0o4755)
    (folder / "b").chmod(0o2700)
    (folder / "a").write_text("one")
    (folder / "a").chmod(0o600)
    (folder / "link").symlink_to("b/program")
    return folder


def test_a_layer_is_the_same_whoever_made_it_whenever(tmp_path: Path) -> None:
    one = image_archive.layer(tmp_path / "1.tar", {"opt/app": tree(tmp_path / "1")})
    two = image_archive.layer(tmp_path / "2.tar", {"opt/app": tree(tmp_path / "2")})
    assert one.digest == two.digest == hashlib.sha256((tmp_path / "1.tar").read_bytes()).hexdigest()
    with tarfile.open(one.path) as tar:
        found = [(item.name, oct(item.mode), item.uid, item.mtime, item.linkname) for item in tar]
    assert found == [
        ("opt", "0o755", 0, 0, ""),
        ("opt/app", "0o755", 0, 0, ""),
        ("opt/app/a", "0o644", 0, 0, ""),
        ("opt/app/b", "0o755", 0, 0, ""),
        ("opt/app/b/program", "0o755", 0, 0, ""),
        ("opt/app/link", "0o777", 0, 0, "b/program"),
    ]


def test_an_archive_says_what_the_image_runs(tmp_path: Path) -> None:
    layer = image_archive.layer(tmp_path / "layer.tar", {"": tree(tmp_path / "tree")})
    path = tmp_path / "image.tar"
    image_archive.archive(
        path, "example.test/app:1", [layer], Config(["/b/program"], {"B": "2", "A": "1"}, folder="/b")
    )
    with tarfile.open(path) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        names = tar.getnames()
    assert manifest[0]["RepoTags"] == ["example.test/app:1"]
    assert manifest[0]["Layers"] == [f"{layer.digest}.tar"]
    assert names == ["manifest.json", manifest[0]["Config"], f"{layer.digest}.tar"]
    found = image_archive.image_config(path)
    assert found["config"] == {
        "User": "65532:65532",
        "Env": ["A=1", "B=2"],
        "Entrypoint": ["/b/program"],
        "WorkingDir": "/b",
    }
    assert found["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{layer.digest}"]}
    (tmp_path / "root").mkdir()
    image_archive.unpack(path, tmp_path / "root")
    assert (tmp_path / "root/link").read_text() == "#!/bin/true\n"


def test_wheels_are_chosen_by_the_images_python_not_by_this_one() -> None:
    assert image_wheels.for_python(LOCK, "3.11") == (
        "aiohttp==3.14.5 \\\n    --hash=sha256:aaaa \\\n    --hash=sha256:bbbb\n"
        "typing-extensions==4.16.0 \\\n    --hash=sha256:dddd\n"
    )
    assert image_wheels.for_python(LOCK, "3.13") == (
        "aiohttp==3.14.5 \\\n    --hash=sha256:aaaa \\\n    --hash=sha256:bbbb\n"
    )


def test_a_part_of_a_lock_file_keeps_its_hashes(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text("# made by a tool\nanyio==4.0 \\\n    --hash=sha256:aa\nclick==8.3.0 \\\n    --hash=sha256:bb\n")
    assert image_wheels.subset(lock, ["Click"]) == "click==8.3.0 \\\n    --hash=sha256:bb\n"
    with pytest.raises(KeyError, match="certifi"):
        image_wheels.subset(lock, ["httpx"])


def test_debian_packages_are_components() -> None:
    package = Package("libstdc++6", "1:12.2.0-14+deb12u1", "ab" * 32, ())
    found = image_sbom.debian_component(package, ("debian", "12"))
    architecture = image_archive.architecture()
    assert found["purl"] == (
        f"pkg:deb/debian/libstdc%2B%2B6@1%3A12.2.0-14%2Bdeb12u1?arch={architecture}&distro=debian-12"
    )
    assert found["version"] == "1:12.2.0-14+deb12u1"


def test_what_is_cached_is_made_once_and_never_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "CACHE", tmp_path)
    calls: list[Path] = []

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ImageError("no")

    def make(folder: Path) -> None:
        assert list(folder.iterdir()) == []
        calls.append(folder)
        (folder / "whole").touch()

    with pytest.raises(ImageError):
        image_cache.made("thing", "1", fail)
    first = image_cache.made("thing", "1", make)
    assert image_cache.made("thing", "1", make) == first == tmp_path / "image" / "thing-1"
    assert len(calls) == 1
    assert sorted(item.name for item in first.iterdir()) == [".complete", "whole"]


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ImageError, match="no-such-program is not installed"):
        image_cache.run(["no-such-program"])
    with pytest.raises(ImageError, match=r"exit code 3:\nwhy"):
        image_cache.run(["sh", "-c", "echo why; exit 3"])


def test_dependencies_are_followed_through_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "app": Package("app", "1", "00", (("libc6",), ("dpkg",), ("editor", "libed"))),
        "libc6": Package("libc6", "2", "01", (("libgcc-s1",),)),
        "libgcc-s1": Package("libgcc-s1", "3", "02", (("libc6",),)),
        "libed": Package("libed", "4", "03", ()),
    }
    monkeypatch.setattr(image_base, "known", lambda names: {name: known[name] for name in names})
    found = image_base.closure(("app", "libed"))
    assert [item.name for item in found] == ["app", "libc6", "libed", "libgcc-s1"]
