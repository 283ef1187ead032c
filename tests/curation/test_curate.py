from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from curation import curate as curate_module
from curation import released_cell, stage
from curation.corpus import Corpus, load_corpus, verify_corpus
from curation.curate import CurateConfig, curate
from curation.deidentify.vault import read_identifiers, read_vault
from curation.errors import OutputExistsError, SmearkitError, SourceError, UnknownLabelError
from curation.output import partial_path
from curation.pixels import Limits, ReleasedImage, release_image

Cell = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
Folder = Callable[..., Path]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whole(corpus: Corpus) -> None:
    verify_corpus(load_corpus(corpus.path))
    manifest = corpus.manifest
    assert manifest.n_in == manifest.n_out + sum(manifest.dropped.values())
    assert len(corpus.rows(["label"])) == manifest.n_out
    report = json.loads((corpus.path / "reports" / "curation.json").read_bytes())
    assert report["n_in"] == manifest.n_in
    assert report["n_out"] == manifest.n_out
    assert report["dropped"] == manifest.dropped
    names = {path.split("/")[0] for path in files(corpus.path)}
    assert names == {"manifest.json", "data", "reports"}


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count calls of release_image; with a second number, raise at that call."""
    calls = [0, 0]

    def counted(data: bytes, limits: Limits, *, reencode: bool = False) -> ReleasedImage:
        calls[0] += 1
        if calls[0] == calls[1]:
            raise KeyboardInterrupt
        return release_image(data, limits)

    monkeypatch.setattr(released_cell, "release_image", counted)
    return calls


def test_a_mixed_export(
    class_folders: Folder, tmp_path: Path, cell: Cell, encoded: Encoded
) -> None:
    root = class_folders(basophil=10, MO=12)
    good = root / "MO" / "MO_000.jpg"
    (root / "MO" / "copy.jpg").write_bytes(good.read_bytes())
    (root / "MO" / "same_pixels.jpg").write_bytes(encoded(cell(11), comment=b"Jane Roe"))
    other = (root / "basophil" / "basophil_003.jpg").read_bytes()
    (root / "MO" / "conflict.jpg").write_bytes(other)
    (root / "MO" / "empty.jpg").write_bytes(b"")
    (root / "MO" / "text.png").write_text("Jane Roe")
    (root / "MO" / "tiny.png").write_bytes(encoded(Image.new("RGB", (1, 1)), "PNG"))
    out = tmp_path / "corpus"
    corpus = curate([root], out)
    whole(corpus)
    manifest = corpus.manifest
    assert manifest.n_in == 28
    assert manifest.dropped == {
        "duplicate": 2, "label_conflict": 2, "too_small": 1, "unreadable": 2
    }  # fmt: skip
    assert (manifest.duplicate_groups, manifest.conflicts, manifest.quarantined) == (2, 1, 3)
    assert manifest.class_totals() == {"basophil": 9, "monocyte": 12}
    assert manifest.grouped_by == "duplicate_group"
    assert manifest.config["label_map"] == {"MO": "monocyte", "basophil": "basophil"}
    report = json.loads((out / "reports" / "curation.json").read_bytes())
    assert [(c["kind"], c["labels"], c["copies"]) for c in report["conflicts"]] == [
        ("label", ["basophil", "monocyte"], 2)
    ]
    quarantine = tmp_path / "corpus-quarantine"
    assert stat.S_IMODE(quarantine.stat().st_mode) == 0o700
    lines = (quarantine / "entries.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(line) for line in lines]
    assert Counter(e["reason"] for e in entries) == {
        "unreadable": 2, "too_small": 1, "label_conflict": 1
    }  # fmt: skip
    kept = {e["name"]: (quarantine / e["file"]).read_bytes() for e in entries if "file" in e}
    assert kept["MO/text.png"] == b"Jane Roe"
    assert entries[-1]["names"] == ["MO/conflict.jpg", "basophil/basophil_003.jpg"]
    assert not partial_path(out).exists()
    assert not partial_path(quarantine).exists()


def test_two_bad_files_of_one_name_are_both_kept_aside(
    class_folders: Folder, tmp_path: Path
) -> None:
    roots = [class_folders(name, basophil=3) for name in ("one", "two")]
    for root in roots:
        (root / "basophil" / "bad.jpg").write_text(root.name)
    corpus = curate(roots, tmp_path / "corpus")
    assert corpus.manifest.dropped == {"duplicate": 3, "unreadable": 2}
    bad = sorted(path.read_text() for path in (tmp_path / "corpus-quarantine").glob("*.bin"))
    assert bad == ["one", "two"]


@pytest.fixture
def secret_source(class_folders: Folder, cell: Cell, encoded: Encoded) -> Path:
    root = class_folders(basophil=1)
    exif = Image.Exif()
    exif[0x010E] = "PLANTED-EXIF"
    rows = ["file_name,label,patient_id,slide_id,hospital,patient_name,ward"]
    for index in range(40):
        name = f"Roe_Jane_{index:04d}"
        (root / f"{name}.jpg").write_bytes(encoded(cell(index + 100), exif=exif))
        rows.append(
            f"{name}.jpg,{'BA' if index % 2 else 'MO'},MRN-00{index // 4:03d},"
            f"SLIDE-{index // 4}-{index % 2},Sankt-Elsewhere,Jane Roe,Ward-7-north"
        )
    (root / "basophil").rename(root.parent / "unused")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


SECRETS = [b"Roe", b"Jane", b"PLANTED", b"MRN-", b"SLIDE-", b"Elsewhere", b"Ward-7", b"Exif"]


def test_nothing_that_identifies_is_in_the_corpus(secret_source: Path, tmp_path: Path) -> None:
    corpus = curate([secret_source], tmp_path / "corpus")
    whole(corpus)
    assert corpus.manifest.grouped_by == "subject"
    for path in corpus.path.rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        for secret in [*SECRETS, str(tmp_path).encode()]:
            assert secret.lower() not in data.lower() + path.name.encode().lower(), path
    for data in corpus.images():  # whatever the Parquet encoding is
        assert not any(secret in data for secret in SECRETS)
    rows = corpus.rows(["subject", "slide", "site", "image"])
    assert all(image["path"].as_py() is None for image in rows["image"])
    assert len(set(rows["subject"].to_pylist())) == 10
    assert len(set(rows["slide"].to_pylist())) == 20
    vault = read_vault(tmp_path / "corpus-vault")
    known = set(read_identifiers(vault))
    assert {
        ("subject", "MRN-00003"),
        ("column patient_name", "Jane Roe"),
        ("file", "Roe_Jane_0007"),
    } <= known
    assert vault.pseudonym("subject", "MRN-00003") in rows["subject"].to_pylist()


def test_no_subject_is_in_two_splits(secret_source: Path, tmp_path: Path) -> None:
    corpus = curate([secret_source], tmp_path / "corpus")
    of = {
        split: set(corpus.rows(["subject"], [split])["subject"].to_pylist())
        for split in ("train", "validation", "test")
    }
    assert all(of.values())
    assert sum(len(subjects) for subjects in of.values()) == 10
    assert corpus.manifest.subjects == {split: len(found) for split, found in of.items()}


def test_copies_of_two_subjects_are_dropped(secret_source: Path, tmp_path: Path) -> None:
    first = (secret_source / "Roe_Jane_0000.jpg").read_bytes()
    (secret_source / "Roe_Jane_0008.jpg").write_bytes(first)
    corpus = curate([secret_source], tmp_path / "corpus")
    assert corpus.manifest.dropped == {"subject_conflict": 2}


def test_unknown_labels_are_refused_before_anything_is_written(
    class_folders: Folder, tmp_path: Path
) -> None:
    root = class_folders(basofil=2, monocyte=6)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UnknownLabelError, match="'basofil': nearest known: basophil"):
        curate([root], tmp_path / "corpus")
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UnknownLabelError, match="not in the vocabulary"):
        curate([root], tmp_path / "corpus", CurateConfig(label_map={"basofil": "x"}))
    assert sorted(tmp_path.iterdir()) == before
    dropped = curate([root], tmp_path / "a", CurateConfig(drop_unknown_labels=True))
    assert dropped.manifest.dropped == {"unknown_label": 2}
    whole(dropped)
    mapped = curate([root], tmp_path / "b", CurateConfig(label_map={"basofil": "basophil"}))
    assert mapped.manifest.class_totals() == {"basophil": 2, "monocyte": 6}


def test_a_source_of_which_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "basophil").mkdir()
    for index in range(3):
        (tmp_path / "basophil" / f"{index}.jpg").write_bytes(b"no image")
    with pytest.raises(SourceError, match=r"none of the 3 images can be used \(unreadable: 3\)"):
        curate([tmp_path / "basophil"], tmp_path / "corpus")
    assert not (tmp_path / "corpus").exists()


def test_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no source was given"):
        curate([], tmp_path / "corpus")


def test_what_exists_is_never_overwritten(class_folders: Folder, tmp_path: Path) -> None:
    root = class_folders(basophil=4)
    for name in ("corpus", "corpus-quarantine"):
        (tmp_path / name).mkdir()
        with pytest.raises(OutputExistsError, match=f"{name} exists already"):
            curate([root], tmp_path / "corpus")
        (tmp_path / name).rmdir()
    inside = tmp_path / "corpus" / "inside"
    with pytest.raises(SmearkitError, match="lies inside .*meant to be shared"):
        curate([root], tmp_path / "corpus", vault=inside)
    with pytest.raises(SmearkitError, match="lies inside .*meant to be shared"):
        curate([root], tmp_path / "corpus", quarantine=inside)
    assert not (tmp_path / "corpus").exists()


def test_one_vault_gives_one_corpus(secret_source: Path, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    one = curate([secret_source], tmp_path / "one", vault=vault)
    two = curate([secret_source], tmp_path / "two", vault=vault)
    assert one.fingerprint == two.fingerprint
    assert files(one.path) == files(two.path)
    other = curate([secret_source], tmp_path / "three")
    assert other.fingerprint != one.fingerprint
    ids = [c.rows(["image_id"])["image_id"].to_pylist() for c in (one, other)]
    assert sorted(ids[0]) == sorted(ids[1])
    assert ids[0] != ids[1], "the order of rows is keyed"


def test_an_interrupted_run_goes_on(
    class_folders: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counting: list[int]
) -> None:
    monkeypatch.setattr(stage, "CHUNK_ROWS", 8)
    root = class_folders(basophil=20, monocyte=20)
    (root / "monocyte" / "bad.jpg").write_bytes(b"")
    vault = tmp_path / "vault"
    expected = curate([root], tmp_path / "expected", vault=vault)
    out = tmp_path / "out"
    counting[:] = [0, 21]
    with pytest.raises(KeyboardInterrupt):
        curate([root], out, vault=vault)
    assert not out.exists()
    counting[:] = [0, 0]
    corpus = curate([root], out, vault=vault)
    assert counting[0] == 41 - 16, "two whole chunks of 8 were there"
    assert files(corpus.path) == files(expected.path)
    whole(corpus)


@pytest.mark.parametrize(
    "step", ["write_shards", "write_report", "write_quarantine", "write_manifest"]
)
def test_interrupted_late_it_reads_no_source_again(
    step: str,
    class_folders: Folder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counting: list[int],
) -> None:
    root = class_folders(basophil=20)
    (root / "basophil" / "bad.jpg").write_bytes(b"bad")
    vault = tmp_path / "vault"
    expected = curate([root], tmp_path / "expected", vault=vault)
    out = tmp_path / "out"
    real = getattr(curate_module, step)

    def then_killed(*args: object, **options: object) -> None:
        real(*args, **options)
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(curate_module, step, then_killed)
        with pytest.raises(SmearkitError, match="is full; nothing stands at"):
            curate([root], out, vault=vault)
    assert not out.exists()
    assert not (tmp_path / "out-quarantine").exists()
    counting[0] = 0
    corpus = curate([root], out, vault=vault)
    assert counting[0] == 0
    assert files(corpus.path) == files(expected.path)
    names = {name for name in files(tmp_path / "out-quarantine") if name.endswith(".bin")}
    assert len(names) == 1
    assert not partial_path(out).exists()


def test_a_changed_source_starts_anew(
    class_folders: Folder, tmp_path: Path, counting: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "CHUNK_ROWS", 4)
    root = class_folders(basophil=12)
    counting[:] = [0, 10]
    with pytest.raises(KeyboardInterrupt):
        curate([root], tmp_path / "out")
    os.utime(root / "basophil" / "basophil_000.jpg", ns=(1, 1))
    counting[:] = [0, 0]
    curate([root], tmp_path / "out")
    assert counting[0] == 12


def test_several_shards_add_up(
    class_folders: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = class_folders(basophil=20, monocyte=20)
    vault = tmp_path / "vault"
    one = curate([root], tmp_path / "one", vault=vault)
    monkeypatch.setattr("curation.shards.SHARD_BYTES", 8_000)
    many = curate([root], tmp_path / "many", vault=vault)
    whole(many)
    assert len(many.manifest.shards) > 5
    assert len(one.manifest.shards) == 3
    names = [shard.path for shard in many.shards(["train"])]
    assert names == [f"data/train-{i:05d}-of-{len(names):05d}.parquet" for i in range(len(names))]
    columns = ["image_id", "label", "image"]
    assert many.rows(columns).to_pylist() == one.rows(columns).to_pylist()


def test_several_sources_are_one_corpus(class_folders: Folder, tmp_path: Path) -> None:
    first = class_folders("one", basophil=6)
    second = class_folders("two", monocyte=5, basophil=2)
    corpus = curate([first, second], tmp_path / "corpus")
    whole(corpus)
    # The fixture draws the same cells in each: five of them now carry two labels.
    assert corpus.manifest.n_in == 13
    assert corpus.manifest.dropped == {"duplicate": 1, "label_conflict": 10}


def test_progress_counts_to_the_end(class_folders: Folder, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    curate([class_folders(BA=5)], tmp_path / "c", progress=lambda *told: seen.append(told))
    assert ("curate", 5, 5) in seen
    assert seen[-1] == ("write", 5, 5)
    assert all(0 <= done <= total for _, done, total in seen)


@pytest.mark.real
@pytest.mark.e2e
def test_the_real_export(shared_data: Path, tmp_path: Path) -> None:
    corpus = curate([shared_data / "pbc_raw"], tmp_path / "corpus")
    whole(corpus)
    manifest = corpus.manifest
    assert manifest.n_in == 1434
    assert manifest.duplicate_groups == 17
    assert manifest.conflicts == 1
    assert manifest.dropped == {"duplicate": 16, "label_conflict": 2}
    assert manifest.codec.format == "jpeg"
    assert set(manifest.classes["train"]) == set(manifest.classes["test"])
