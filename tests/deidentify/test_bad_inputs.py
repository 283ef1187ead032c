"""What laboratories' exports and attackers bring, each once, through whole runs of `curate`.

Each input ends in a named error, an entry of the quarantine or a clean image; nothing is lost, and
what could not be finished leaves no half of it behind.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from curation.corpus import Corpus, load_corpus, verify_corpus
from curation.curate import curate
from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.quarantine_entry import QuarantineEntry, read_entries
from curation.deidentify.vault import open_vault, read_vault
from curation.errors import SourceError, VaultError
from curation.output import partial_path
from curation.pixels import decode_rgb
from tests.deidentify.dicom_made import as_file, colours, item, picture
from tests.deidentify.planted.exif import LONG, Entry, directory

Folder = Callable[..., Path]
Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
WHO = b"Quillfeather"
FIRST_SEED = 100
_OTHER_FACE = Image.new("RGB", (32, 32), (255, 0, 0))


def with_thumbnail(cell: Cell, encoded: Encoded, seed: int) -> bytes:
    """A JPEG whose EXIF holds a small picture of another slide, with a name in it."""
    thumbnail = encoded(_OTHER_FACE, comment=WHO)
    first = directory([(274, 3, struct.pack("<H", 1))], 8, following=26)
    at = 26 + 2 + 12 * 2 + 4
    fields: list[Entry] = [
        (513, LONG, struct.pack("<I", at)), (514, LONG, struct.pack("<I", len(thumbnail)))
    ]  # fmt: skip
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + first + directory(fields, 26) + thumbnail
    data = encoded(cell(seed), exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get_ifd(ExifTags.IFD.IFD1)[513] == at
    return data


def with_bomb(cell: Cell, encoded: Encoded, seed: int) -> bytes:
    """A PNG with a chunk that unpacks to 50 MB."""
    body = b"Comment\x00\x00" + zlib.compress(WHO + bytes(50_000_000), 9)
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body
    data = encoded(cell(seed), "PNG")
    return data[:33] + chunk + struct.pack(">I", zlib.crc32(chunk[4:])) + data[33:]


def in_a_circle(cell: Cell, encoded: Encoded, seed: int) -> bytes:
    """A TIFF whose second directory leads back to its first."""
    data = bytearray(encoded(cell(seed), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, len(data))
    return bytes(data) + struct.pack("<HHHIII", 1, 256, 4, 1, 48, start)


def polyglot(cell: Cell, encoded: Encoded, seed: int) -> bytes:
    """A JPEG that is a ZIP archive as well."""
    return encoded(cell(seed)) + b"PK\x03\x04" + WHO + b"PK\x05\x06" + bytes(18)


def broken_sequence(cell: Cell, encoded: Encoded, seed: int) -> bytes:
    """A DICOM file with a sequence of unknown length that nothing ends."""
    dataset = picture(SpecimenDescriptionSequence=[item(SpecimenIdentifier=WHO.decode())])
    dataset["SpecimenDescriptionSequence"].is_undefined_length = True
    dataset.add_new(0x7FE00010, "OB", colours(seed).tobytes())
    data = as_file(dataset)
    end = data.index(b"\xfe\xff\xdd\xe0")
    return data[:end] + data[end + 8 : end + 200]


BAD: dict[str, tuple[str | None, Callable[[Cell, Encoded, int], bytes]]] = {
    "thumbnail.jpg": (None, with_thumbnail),
    "polyglot.jpg": (None, polyglot),
    "bomb.png": ("unreadable", with_bomb),
    "circle.tif": ("several_images", in_a_circle),
    "sequence.dcm": ("unreadable", broken_sequence),
}
"""File name -> why it is quarantined, or None where its pixels are released; and its maker."""


@pytest.fixture(scope="module")
def bad(cell: Cell, encoded: Encoded) -> dict[str, bytes]:
    """The bad files by name."""
    made = enumerate(BAD.items(), start=FIRST_SEED)
    return {name: make(cell, encoded, seed) for seed, (name, (_, make)) in made}


@pytest.fixture
def source(class_folders: Folder, bad: dict[str, bytes]) -> Path:
    """Ten good cells, and one of each bad kind among them."""
    root = class_folders(MO=6, BA=4)
    for name, data in bad.items():
        (root / "MO" / f"{WHO.decode()}_{name}").write_bytes(data)
    return root


@pytest.fixture
def good(class_folders: Folder) -> Path:
    """Four good cells alone."""
    return class_folders(MO=2, BA=2)


@pytest.fixture
def nothing_written(tmp_path: Path, good: Path) -> Callable[[], None]:
    """A check that a run left nothing beside the source and the vault."""

    def check() -> None:
        left = {path.name for path in tmp_path.iterdir()}
        assert left <= {good.name, "c-vault"}, left

    return check


def bytes_of(corpus: Corpus) -> dict[str, bytes]:
    files = (path for path in corpus.path.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def test_one_run_over_all_of_them(
    source: Path, tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    corpus = curate([source], tmp_path / "c")
    verify_corpus(corpus)
    manifest = corpus.manifest
    assert manifest.n_in == 10 + len(BAD)
    assert manifest.dropped == {"unreadable": 2, "several_images": 1}
    assert manifest.n_out == manifest.n_in - 3
    entries = [e for e in read_entries(tmp_path / "c-quarantine") if isinstance(e, QuarantineEntry)]
    names = {e.name: e.name.removesuffix(", frame 0").rpartition("_")[2] for e in entries}
    assert {(names[e.name], e.reason) for e in entries} == {
        (name, reason) for name, (reason, _) in BAD.items() if reason
    }
    # Whole, for a person to look at; of a DICOM file, which may be large, its name.
    kept = {entry.name: entry.file for entry in entries}
    assert [name.rpartition("_")[2] for name, file in kept.items() if file is None] == [
        "sequence.dcm, frame 0"
    ]
    for name, file in kept.items():
        if file is not None:
            data = (tmp_path / "c-quarantine" / file).read_bytes()
            assert data == (source / name).read_bytes()
    released = list(corpus.images(list(manifest.splits)))
    for seed in (FIRST_SEED, FIRST_SEED + 1):
        pixels = decode_rgb(encoded(cell(seed)))
        assert any(np.array_equal(decode_rgb(data), pixels) for data in released)
    red = np.asarray(_OTHER_FACE)[0, 0]
    assert not any((decode_rgb(data)[0, 0] == red).all() for data in released)
    for name, data in bytes_of(corpus).items():
        assert WHO.lower() not in data.lower(), name
    assert scan_for_leaks(corpus.path, read_vault(tmp_path / "c-vault")).clean
    assert not partial_path(corpus.path).exists()


def test_what_is_planted_here_would_be_seen(source: Path, tmp_path: Path) -> None:
    """The same scan over the source itself finds it: the check above proves something."""
    curate([source], tmp_path / "c")
    vault = read_vault(tmp_path / "c-vault")
    found = scan_for_leaks(source / "MO", vault).hits
    assert len({hit.file for hit in found}) == len(list((source / "MO").iterdir()))


def test_a_link_out_of_the_source(
    good: Path, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path,
    nothing_written: Callable[[], None], cell: Cell, encoded: Encoded,
) -> None:  # fmt: skip
    outside = tmp_path_factory.mktemp("elsewhere") / f"{WHO.decode()}.jpg"
    outside.write_bytes(encoded(cell(200)))
    (good / "MO" / "link.jpg").symlink_to(outside)
    with pytest.raises(SourceError, match="is a link that leads out") as error:
        curate([good], tmp_path / "c")
    assert WHO.decode() not in str(error.value)
    nothing_written()


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_the_wrong_length(
    size: int, good: Path, tmp_path: Path, nothing_written: Callable[[], None]
) -> None:
    vault = open_vault(tmp_path / "c-vault")
    (vault.path / "key").write_text("ab" * size)
    with pytest.raises(VaultError, match=f"a key of {size} bytes; expected 32"):
        curate([good], tmp_path / "c")
    nothing_written()
    assert (vault.path / "key").read_text() == "ab" * size, "it is not replaced by another"


@pytest.mark.parametrize("place", ["file/v", "file"])
def test_a_vault_that_cannot_be_made(
    place: str, good: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
    nothing_written: Callable[[], None],
) -> None:  # fmt: skip
    folder = tmp_path_factory.mktemp("vaults")
    (folder / "file").write_text("in the way")
    with pytest.raises(VaultError, match="cannot be made or read: "):
        curate([good], tmp_path / "c", vault=folder / place)
    nothing_written()
    assert [path.name for path in folder.iterdir()] == ["file"]


@pytest.mark.parametrize("name", ["identifiers.jsonl", "own_labels.jsonl", "small_groups.jsonl"])
def test_a_vault_that_cannot_be_written_any_more(
    name: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = open_vault(tmp_path / "c-vault")
    real = os.open

    def full(path: Path, *arguments: int, **more: Any) -> int:
        if Path(path).name == f".{name}.tmp":
            raise OSError(28, "No space left on device")
        return real(path, *arguments, **more)

    with monkeypatch.context() as during:
        during.setattr(os, "open", full)
        with pytest.raises(VaultError, match=r"cannot be written: No space left on device"):
            curate([source], tmp_path / "c")
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "c-quarantine").exists()
    assert not (vault.path / name).exists()
    # Once there is room, the same command goes on and ends as if nothing had been.
    corpus = curate([source], tmp_path / "c")
    verify_corpus(corpus)
    assert corpus.manifest.n_in == 10 + len(BAD)
    assert read_vault(vault.path).key == vault.key


def test_a_lost_vault_blocks_no_reading(good: Path, tmp_path: Path) -> None:
    curate([good], tmp_path / "c")
    shutil.rmtree(tmp_path / "c-vault")
    corpus = load_corpus(tmp_path / "c")
    verify_corpus(corpus)
    assert len(corpus.rows(["image_id", "label"])) == 4
    assert len(list(corpus.images(list(corpus.manifest.splits)))) == 4
    assert not (tmp_path / "c-vault").exists(), "nor is another made"
