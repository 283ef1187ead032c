from __future__ import annotations

import base64
import gzip
import io
import os
import random
import struct
import tarfile
import zipfile
import zlib
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.deidentify.leaks import Scan, pieces, scan, scan_for_leaks
from curation.deidentify.leaks.collector import Collector
from curation.deidentify.leaks.identifiers import sort_identifiers
from curation.deidentify.leaks.pieces import Room
from curation.deidentify.leaks.reader import Reader
from curation.deidentify.leaks.search import Search
from curation.deidentify.vault import Vault, open_vault, record_identifiers
from tests.deidentify.leaks_planted import CARRIERS, parquet, png, png_chunk, rows, tar, zipped

NAME = "Quillfeather"


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    made = open_vault(tmp_path / "vault")
    record_identifiers(made, [("subject", NAME)])
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "published"
    path.mkdir()
    (path / "README.md").write_text("# Cells\n")
    return path


def whys(found: Scan) -> list[str]:
    assert not found.clean
    return [entry.why for entry in found.not_searched]


BOMB = 2**22


@pytest.mark.parametrize(
    ("name", "data", "carrier"),
    [
        ("a.gz", gzip.compress(bytes(BOMB)), "gzip stream at byte 0"),
        ("a.zip", zipped(bytes(BOMB)), "zip member at byte 0"),
        ("a.png", png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(BOMB))), "PNG zTXt chunk"),
        ("b.png", png_chunk(b"IDAT", zlib.compress(bytes(BOMB))), "PNG pixels"),
        ("a.parquet", parquet(rows(png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(BOMB))))),
         "Parquet column image.bytes > PNG iCCP chunk"),
    ],
    ids=["gzip", "zip", "text", "pixels", "profile in a shard"],
)  # fmt: skip
def test_a_bomb_is_reported(
    folder: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes,
    carrier: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(pieces, "MAX_PIECE", 2**20)
    (folder / name).write_bytes(data)
    found = scan_for_leaks(folder, vault)
    assert set(whys(found)) == {"it expands to more than 1 MiB, as a zip bomb would"}
    assert {entry.carrier for entry in found.not_searched} == {carrier}


def test_many_small_bombs_are_reported(
    folder: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan, "MAX_TOTAL", 2**21)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(str(number), bytes(2**20))
    (folder / "a.zip").write_bytes(out.getvalue())
    assert any("zip bomb" in why for why in whys(scan_for_leaks(folder, vault)))


def nested(data: bytes, times: int) -> bytes:
    for _ in range(times):
        data = zipped(data)
    return data


def test_nested_archives(folder: Path, vault: Vault) -> None:
    (folder / "a.zip").write_bytes(nested(NAME.encode(), 8))
    assert [hit.file for hit in scan_for_leaks(folder, vault).hits] == ["a.zip"]
    (folder / "a.zip").write_bytes(nested(NAME.encode(), 15))
    assert set(whys(scan_for_leaks(folder, vault))) == {"it is nested too deep"}


def test_nested_base64(folder: Path, vault: Vault) -> None:
    data = NAME.encode()
    for times in range(1, 16):
        data = base64.b64encode(data)
        (folder / "a.txt").write_bytes(data)
        assert not scan_for_leaks(folder, vault).clean, times


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.gz", gzip.compress(random.Random(0).randbytes(9_000))[:-400]),
        ("a.zip", zipped(random.Random(0).randbytes(9_000))[:-800]),
        ("a.tar", tar(b"x", "body")[:-15_000]),
        ("a.png", png()[:-60]),
        ("a.parquet", parquet(rows())[:-60]),
        ("b.parquet", b"PAR1" + bytes(50) + b"PAR1"),
    ],
)
def test_what_is_cut_off_is_reported(folder: Path, vault: Vault, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    assert "cut off" in whys(scan_for_leaks(folder, vault))[0]


def encrypted(data: bytes) -> bytes:
    whole = bytearray(zipped(data))
    whole[6] |= 1
    return bytes(whole)


def odd_method(data: bytes) -> bytes:
    whole = bytearray(zipped(data))
    whole[8:10] = struct.pack("<H", 99)
    return bytes(whole)


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.zip", encrypted(b"x"), "it is encrypted"),
        ("b.zip", odd_method(b"x"), "its compression method 99 is not known"),
        ("a.pdf", b"%PDF-1.7 trailer << /Encrypt 5 0 R >>", "it is encrypted"),
        ("c.parquet", b"PARE" + bytes(20) + b"PARE", "it is broken, cut off or encrypted"),
    ],
)
def test_what_is_locked_is_reported(
    folder: Path, vault: Vault, name: str, data: bytes, why: str
) -> None:
    (folder / name).write_bytes(data)
    assert whys(scan_for_leaks(folder, vault)) == [why]


def test_links_are_reported_and_not_followed(folder: Path, vault: Vault, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.txt").write_text(NAME)
    (folder / "file").symlink_to(outside / "a.txt")
    (folder / "folder").symlink_to(outside)
    (folder / "nowhere").symlink_to(tmp_path / "absent")
    (folder / "itself").symlink_to(folder)
    found = scan_for_leaks(folder, vault)
    assert [entry.file for entry in found.not_searched] == ["file", "folder", "itself", "nowhere"]
    assert {entry.carrier for entry in found.not_searched} == {"symbolic link"}
    assert (found.hits, found.files) == ((), 1)


def test_what_is_no_file_is_reported(folder: Path, vault: Vault) -> None:
    os.mkfifo(folder / "pipe")
    assert whys(scan_for_leaks(folder, vault)) == ["it is no ordinary file"]


def test_what_cannot_be_read_is_reported(
    folder: Path, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> AbstractContextManager[memoryview]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(scan, "_mapped", refused)
    assert whys(scan_for_leaks(folder, vault)) == ["it cannot be read (Permission denied)"]


@pytest.mark.parametrize("name", [f"{NAME}.txt", f"x/{NAME.upper()}/a.txt", f"{NAME[:5]}-feather"])
def test_a_name_with_an_identifier_is_not_repeated(folder: Path, vault: Vault, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"by {NAME}")
    found = scan_for_leaks(folder, vault)
    assert {hit.carrier for hit in found.hits} == {"file name", "content"}
    assert {hit.file for hit in found.hits} == {
        f"file {1 if '/' in name else 0 if name[0] < 'R' else 1} (its name holds an identifier)"
    }
    assert "feather" not in repr(found).casefold()


def test_a_folder_without_files_has_a_name(folder: Path, vault: Vault) -> None:
    (folder / NAME).mkdir()
    assert [hit.carrier for hit in scan_for_leaks(folder, vault).hits] == ["file name"]


def test_a_column_whose_name_is_an_identifier(folder: Path, vault: Vault) -> None:
    table = rows().append_column(NAME, pa.array([f"by {NAME}"] * 3))
    (folder / "a.parquet").write_bytes(parquet(table))
    found = scan_for_leaks(folder, vault)
    assert "Parquet column names" in {hit.carrier for hit in found.hits}
    assert NAME not in repr(found)


def test_directories_of_a_tiff_in_a_circle(folder: Path, vault: Vault) -> None:
    entry = struct.pack("<HHII", 65000, 2, 12, 26)
    circle = b"II*\0" + struct.pack("<IH", 8, 1) + entry + struct.pack("<I", 8)
    (folder / "a.tif").write_bytes(circle + b"\0" * 0 + NAME.encode())
    assert [hit.carrier for hit in scan_for_leaks(folder, vault).hits] == ["TIFF tag 65000"]


def test_one_file(folder: Path, vault: Vault) -> None:
    (folder / "a.txt").write_text(NAME)
    found = scan_for_leaks(folder / "a.txt", vault)
    assert [(hit.file, hit.carrier) for hit in found.hits] == [("a.txt", "content")]
    assert scan_for_leaks(folder / "README.md", vault).clean


def test_over_the_edges_of_blocks(folder: Path, vault: Vault) -> None:
    noise = random.Random(1).randbytes(2**18)
    for start in range(2**18 - 14, 2**18 + 3):
        (folder / "a.bin").write_bytes(noise[:start] + NAME.encode() + noise)
        assert len(scan_for_leaks(folder, vault).hits) == 1, start


def test_progress_counts_files(folder: Path, vault: Vault) -> None:
    seen: list[tuple[str, int, int]] = []
    scan_for_leaks(folder, vault, lambda *step: seen.append(step))
    assert seen == [("search", 0, 1), ("search", 1, 1)]


PLANTED = [carrier.plant(NAME.encode()) for carrier in CARRIERS]


# The same examples each time: a fault of the Parquet library itself would end the whole run.
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(PLANTED),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(max_size=4)), max_size=6),
    st.integers(0, 10**6),
)
def test_damage_never_stops_a_scan(
    data: bytes, changes: list[tuple[int, bytes]], length: int
) -> None:
    damaged = bytearray(data)
    for where, new in changes:
        at = where % len(data)
        damaged[at : at + len(new)] = new
    search = Search(sort_identifiers([("subject", NAME)]), 10**6)
    collector = Collector(search, Vault(Path("v"), bytes(32)))
    collector.begin(0, "a")
    Reader(search, collector, Room(10**8)).read(memoryview(bytes(damaged[: length or None])))
    assert NAME not in repr((collector.hits(), collector.unread()))


def test_a_tar_of_links(folder: Path, vault: Vault) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        link = tarfile.TarInfo("a")
        link.type, link.linkname = tarfile.SYMTYPE, f"/home/{NAME}/a"
        archive.addfile(link)
    (folder / "a.tar").write_bytes(out.getvalue())
    carriers = [hit.carrier for hit in scan_for_leaks(folder, vault).hits]
    assert carriers == ["tar member 0, its header"]
