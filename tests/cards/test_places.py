"""Releases at other places: folders, memory, and S3 by moto's server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from cards.places import place_release
from cards.release import read_release
from curation.errors import PublicationError, ReleaseRefusedError
from tests.made_release import write_release

KEY, SECRET = "testing-key", "testing-secret"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release(tmp_path_factory.mktemp("place") / "release", "1.2.0")


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="needs moto's server")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def s3(s3_address: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file system on moto's server with a bucket, which `s3://` means in this test."""
    s3fs = pytest.importorskip("s3fs", reason="needs s3fs")
    for name, value in (("AWS_ACCESS_KEY_ID", KEY), ("AWS_SECRET_ACCESS_KEY", SECRET),
                        ("AWS_ENDPOINT_URL", s3_address), ("AWS_DEFAULT_REGION", "us-east-1"),
                        ("AWS_EC2_METADATA_DISABLED", "true")):  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    system = fsspec.filesystem("s3")
    if not system.exists("cells"):
        system.mkdir("cells")
    yield system
    if system.exists("cells/lab"):
        system.rm("cells/lab", recursive=True)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


@pytest.mark.parametrize("prefix", ["file://", ""])
def test_a_folder(release: Path, tmp_path: Path, prefix: str) -> None:
    placed = place_release(release, f"{prefix}{tmp_path / 'place'}")
    assert files(tmp_path / "place" / "1.2.0") == files(release)
    assert placed.files == len(files(release))
    assert placed.sent_bytes == placed.bytes == sum(map(len, files(release).values()))
    assert read_release(tmp_path / "place" / "1.2.0").info.version == "1.2.0"


def test_s3(release: Path, s3: Any, tmp_path: Path) -> None:
    placed = place_release(release, "s3://cells/lab/")
    assert placed.url == "s3://cells/lab/1.2.0"
    s3.get("cells/lab/1.2.0", str(tmp_path / "back"), recursive=True)
    assert files(tmp_path / "back") == files(release)
    assert place_release(release, "s3://cells/lab").sent_bytes == 0


def test_a_bucket_that_is_not_there(release: Path, s3: Any) -> None:
    with pytest.raises(PublicationError, match="s3://nothing/1.2.0 cannot be written") as found:
        place_release(release, "s3://nothing")
    assert "No complete version stands there" in str(found.value)
    assert SECRET not in str(found.value)


def test_the_mark_is_written_last(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    put, names = LocalFileSystem.put_file, []

    def killed(self: Any, here: str, there: str, **more: Any) -> None:
        names.append(there)
        if len(names) == 5:
            raise KeyboardInterrupt
        put(self, here, there, **more)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "put_file", killed)
        with pytest.raises(KeyboardInterrupt):
            place_release(release, str(tmp_path / "place"))
    there = tmp_path / "place" / "1.2.0"
    with pytest.raises(ReleaseRefusedError, match="no complete release"):
        read_release(there)
    before = files(there)
    placed = place_release(release, str(tmp_path / "place"))
    assert files(there) == files(release)
    assert placed.sent_bytes == placed.bytes - sum(map(len, before.values()))
    assert len(before) == 4


def test_half_a_file_is_sent_again(release: Path, tmp_path: Path) -> None:
    there = tmp_path / "1.2.0" / "real" / "README.md"
    there.parent.mkdir(parents=True)
    there.write_bytes((release / "real" / "README.md").read_bytes()[:-1] + b"x")
    place_release(release, str(tmp_path))
    assert files(tmp_path / "1.2.0") == files(release)


def test_a_file_that_comes_back_changed(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fsspec.implementations.local import LocalFileSystem

    def worse(self: Any, here: str, there: str, **more: Any) -> None:
        Path(there).write_bytes(Path(here).read_bytes()[:-1] + b"?")

    monkeypatch.setattr(LocalFileSystem, "put_file", worse)
    with pytest.raises(PublicationError, match="came back changed"):
        place_release(release, str(tmp_path / "place"))
    assert not (tmp_path / "place" / "1.2.0" / "release.json").exists()


def test_a_version_that_is_there(release: Path, tmp_path: Path) -> None:
    place_release(release, str(tmp_path / "place"))
    other = write_release(tmp_path / "other", "1.2.0", 16)
    mark = other / "release.json"
    mark.write_text(mark.read_text().replace("rrrr", "qqqq"))
    before = files(tmp_path / "place")
    with pytest.raises(ReleaseRefusedError, match=r"has a version 1\.2\.0 already"):
        place_release(other, str(tmp_path / "place"))
    assert files(tmp_path / "place") == before


def test_what_is_no_part_of_it(release: Path, tmp_path: Path) -> None:
    odd = tmp_path / "place" / "1.2.0" / "real" / "data" / "train-extra.parquet"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"x")
    with pytest.raises(ReleaseRefusedError, match=r"holds real/data/train-extra\.parquet"):
        place_release(release, str(tmp_path / "place"))
    assert not (tmp_path / "place" / "1.2.0" / "release.json").exists()


def test_an_edited_release(release: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(release, tmp_path / "edited")
    (folder / "real" / "CHANGELOG.md").write_text("else")
    with pytest.raises(ReleaseRefusedError, match=r"real/CHANGELOG\.md was changed after"):
        place_release(folder, str(tmp_path / "place"))
    assert not (tmp_path / "place").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("hf://datasets/lab/cells", "by --repo ORG/NAME"),
        ("nothing://place", "cannot be opened"),
        ("ftp://me:hidden@127.0.0.1:9/x", "cannot be"),
    ],
)
def test_places_that_cannot_be_used(release: Path, url: str, said: str) -> None:
    with pytest.raises((PublicationError, ReleaseRefusedError), match=said) as found:
        place_release(release, url)
    assert "hidden" not in str(found.value)
