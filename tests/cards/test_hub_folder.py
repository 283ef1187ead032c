"""How a file is told to be the one that the Hub has, and the order of version tags."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from cards.hub_folder import RemoteFile, checked_folder, git_blob
from cards.hub_sending import holds_nothing_of_others
from cards.hub_tags import latest_tag, newer_tags
from tests.made_release import write_sums


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "real"
    (made / "data").mkdir(parents=True)
    (made / "README.md").write_text("# Cells\n")
    (made / "data" / "a.parquet").write_bytes(b"PAR1" * 10)
    write_sums(made)
    return made


def test_git_names_a_file_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"some bytes\n")
    said = subprocess.run(
        ["git", "hash-object", str(tmp_path / "file")], capture_output=True, text=True, check=True
    )
    assert git_blob(b"some bytes\n") == said.stdout.strip()


def test_what_is_new_and_what_is_gone(folder: Path) -> None:
    here = checked_folder(folder)
    assert set(here.files) == {"README.md", "checksums.txt", "data/a.parquet"}
    data = (folder / "data" / "a.parquet").read_bytes()
    tree = {
        name: RemoteFile(file.size, git_blob(file.file.read_bytes()), None)
        for name, file in here.files.items()
    }
    tree["data/a.parquet"] = RemoteFile(len(data), "0", hashlib.sha256(data).hexdigest())
    assert here.is_(tree)
    assert not here.is_({**tree, "more": tree["README.md"]})
    assert here.gone_from({**tree, "more": tree["README.md"]}) == ["more"]
    for name in here.files:
        fewer = {key: value for key, value in tree.items() if key != name}
        assert here.new_in(fewer) == [name]
        other = RemoteFile(tree[name].size, "f" * 40, "f" * 64 if "data" in name else None)
        assert here.new_in({**tree, name: other}) == [name]
        assert not here.is_({**tree, name: other})


def test_the_order_of_versions() -> None:
    tags = ["1.10.0", "1.9.0", "v2", "nightly", "1.2.3"]
    assert newer_tags(tags, "1.2.3") == ["1.9.0", "1.10.0"]
    assert newer_tags(tags, "2.0.0") == []
    assert latest_tag(tags) == "1.10.0"
    assert latest_tag(["main-copy"]) is None


@pytest.mark.parametrize(
    ("names", "ours"),
    [
        ((), True), (("README.md",), True), (("README.md", "checksums.txt", "x"), True),
        (("generator.json", "x"), True), (("theirs.csv",), False), (("README.md", "a.bin"), False),
    ],
)  # fmt: skip
def test_whose_files_a_repository_holds(names: tuple[str, ...], ours: bool) -> None:
    tree = {name: RemoteFile(1, "0", None) for name in names}
    assert holds_nothing_of_others(tree) is ours
