"""A release as one tar file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from cards import archive
from cards.archive import archive_release
from curation.errors import OutputExistsError, PublicationError, ReleaseRefusedError
from tests.made_release import write_release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("archive") / "release", "1.2.0")


def test_the_same_bytes_twice(release: Path, tmp_path: Path) -> None:
    again = shutil.copytree(release, tmp_path / "moved")
    for path in again.rglob("*"):
        path.touch()
        path.chmod(0o700)
    one, two = (
        archive_release(release, tmp_path / "one.tar"),
        archive_release(again, tmp_path / "two.tar"),
    )
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert (
        one.sha256 == two.sha256 == hashlib.sha256((tmp_path / "one.tar").read_bytes()).hexdigest()
    )
    assert one.md5 == hashlib.md5((tmp_path / "one.tar").read_bytes()).hexdigest()


def test_what_is_in_it(release: Path, tmp_path: Path) -> None:
    made = archive_release(release, tmp_path / "out.tar")
    with tarfile.open(tmp_path / "out.tar") as tar:
        entries = tar.getmembers()
        assert {(e.mtime, e.uid, e.gid, e.uname, e.gname, e.mode) for e in entries} == {
            (0, 0, 0, "", "", 0o644)
        }
        tar.extractall(tmp_path / "back", filter="data")
    root = tmp_path / "back" / "release-1.2.0"
    names = [entry.name.removeprefix("release-1.2.0/") for entry in entries]
    assert names[1:] == sorted(names[1:])
    found = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    expected = {p.relative_to(release).as_posix() for p in release.rglob("*") if p.is_file()}
    assert found == expected | {"checksums.txt"}
    assert made.files == len(found)
    for folder, sums in ((root, "checksums.txt"), (tmp_path, "out.tar.sha256")):
        subprocess.run(["sha256sum", "--check", "--quiet", sums], cwd=folder, check=True)


def test_it_is_never_written_over(release: Path, tmp_path: Path) -> None:
    (tmp_path / "out.tar").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        archive_release(release, tmp_path / "out.tar")
    assert (tmp_path / "out.tar").read_bytes() == b"mine"


def test_an_edited_release(release: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(release, tmp_path / "edited")
    (folder / "real" / "CHANGELOG.md").write_text("else")
    with pytest.raises(ReleaseRefusedError, match=r"real/CHANGELOG\.md was changed after"):
        archive_release(folder, tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()


def test_a_file_that_changes_meanwhile(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(release, tmp_path / "release")
    entry = archive._entry

    def edit(name: str, size: int) -> tarfile.TarInfo:
        if name.endswith("real/CHANGELOG.md"):
            (folder / "real" / "CHANGELOG.md").write_text("x" * size)
        return entry(name, size)

    monkeypatch.setattr(archive, "_entry", edit)
    with pytest.raises(PublicationError, match=r"real/CHANGELOG\.md changed while"):
        archive_release(folder, tmp_path / "out.tar")
    assert not (tmp_path / "out.tar").exists()
