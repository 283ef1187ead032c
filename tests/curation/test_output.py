from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from curation.errors import OutputExistsError, SmearkitError
from curation.output import partial_path, refuse_existing, whole_directory, write_whole


def interrupted(out: Path, error: type[BaseException]) -> None:
    with whole_directory(out, {"job": 1}) as partial:
        (partial / "done").write_text("1")
        raise error


def test_the_directory_appears_in_one_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "deep" / "out"
    renames = []
    rename = Path.rename

    def noted(path: Path, target: Path) -> Path:
        renames.append((path, target))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", noted)
    with whole_directory(out, {"a": 1}) as partial:
        assert partial == partial_path(out)
        assert partial.parent == out.parent
        (partial / "x").write_text("1")
        assert not out.exists()
    assert renames == [(partial, out)]
    assert [path.name for path in out.iterdir()] == ["x"]
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_what_exists_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("file", "dir", "dangling"):
        with pytest.raises(OutputExistsError, match="never overwritten; choose another --out"):
            refuse_existing(tmp_path / name)
        with pytest.raises(OutputExistsError), whole_directory(tmp_path / name, {}):
            raise AssertionError("must not be entered")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_a_crash_leaves_no_output_and_the_same_job_goes_on(
    error: type[BaseException], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(error):
        interrupted(out, error)
    assert not out.exists()
    with whole_directory(out, {"job": 1}) as partial:
        assert (partial / "done").read_text() == "1"
    assert (out / "done").exists()


def test_another_job_starts_anew(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ValueError):  # noqa: PT011
        interrupted(out, ValueError)
    with whole_directory(out, {"job": 2}) as partial:
        assert not (partial / "done").exists()
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (errno.ENOSPC, "is full; nothing stands at.*free space and run the same command again"),
        (errno.EDQUOT, "is full"),
        (errno.EROFS, "cannot be written.*choose another --out"),
        (errno.EACCES, "cannot be written"),
    ],
)
def test_disk_errors_are_named(number: int, match: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SmearkitError, match=match), whole_directory(out, {}):
        raise OSError(number, os.strerror(number))
    assert not out.exists()


def test_other_errors_of_the_system_pass(tmp_path: Path) -> None:
    with pytest.raises(ConnectionResetError), whole_directory(tmp_path / "out", {}):
        raise ConnectionResetError


def test_a_file_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "a", b"one")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("curation.output.os.fsync", full)
    with pytest.raises(OSError, match="full"):
        write_whole(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"


def test_two_runs_at_one_output_do_not_meet(tmp_path: Path) -> None:
    out = tmp_path / "corpus"
    with whole_directory(out, {"n": 1}) as partial:
        (partial / "kept").write_text("by the first")
        with (
            pytest.raises(SmearkitError, match="another run is making"),
            whole_directory(out, {"n": 2}),
        ):
            pass
    assert (out / "kept").read_text() == "by the first"
