"""Adding a batch to a corpus decides as curating everything at once would, and moves no split."""

from __future__ import annotations

import csv
import json
import shutil
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from curation import curate as curate_module
from curation.corpus import Corpus, load_corpus, verify_corpus
from curation.curate import CurateConfig, curate
from curation.curation_report import read_report
from curation.dedupe import candidates as candidates_module
from curation.dedupe import index as index_module
from curation.dedupe import near as near_module
from curation.dedupe.index import FATE, INDEX_FORMAT, IndexHead, index_path
from curation.dedupe.model import MODEL_VERSION
from curation.deidentify.quarantine_entry import ConflictEntry, QuarantineEntry, read_entries
from curation.deidentify.text import Look, TextHit
from curation.deidentify.vault import default_vault, read_vault, rotate_vault
from curation.errors import CorpusError, HashIndexError, PolicyError, VaultError
from curation.pixels import Pixels, encode_png, pixel_id
from curation.split import LINKS_SPLITS
from curation.split_links import SplitConflictError
from curation.staged_rows import StagedRows
from scripts.altered_cells import ALTERATIONS
from smearkit import cli
from smearkit.demo_cells import draw_cell, random_stain
from tests.deidentify.test_curate_privacy import Fields

KINDS = ("neutrophil_segmented", "lymphocyte", "monocyte", "eosinophil", "basophil")
CONFIG = CurateConfig(text="off", train=0.6, validation=0.2, test=0.2)
SMALLER = "half size"
NEAR = "cropped 5 %"
BROKEN = "broken"


@cache
def drawn(number: int) -> Pixels:
    rng = np.random.default_rng(1000 + number)
    picture = draw_cell(KINDS[number % len(KINDS)], rng, random_stain(rng), side=160)
    pixels: Pixels = np.asarray(picture)
    return pixels


@dataclass(frozen=True)
class Shot:
    """One file of an export: which cell it shows, how it was altered, what is said of it."""

    cell: int
    change: str = ""
    subject: str = ""
    slide: str = ""
    label: str = ""

    def pixels(self) -> Pixels:
        return ALTERATIONS[self.change](drawn(self.cell)) if self.change else drawn(self.cell)

    def name(self) -> str:
        return self.label or KINDS[self.cell % len(KINDS)]


def write_batch(folder: Path, shots: Sequence[Shot]) -> Path:
    folder.mkdir(parents=True)
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "label", "subject", "slide"])
        for number, shot in enumerate(shots):
            data = b"none" if shot.change == BROKEN else encode_png(shot.pixels())
            (folder / f"{number:03d}.png").write_bytes(data)
            table.writerow([f"{number:03d}.png", shot.name(), shot.subject, shot.slide])
    return folder


def ids(shots: Sequence[Shot]) -> list[str]:
    return [pixel_id(shot.pixels()) for shot in shots]


class House:
    """Corpora made one after another with one vault."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.vault = folder, folder / "vault"
        self.count = 0
        self.vault.mkdir()
        # One key, so that ties fall one way in every run.
        (self.vault / "key").write_text("5e" * 32)

    def make(
        self, *batches: Sequence[Shot], add_to: Corpus | None = None, config: CurateConfig = CONFIG
    ) -> Corpus:
        self.count += 1
        place = self.folder / str(self.count)
        sources = [write_batch(place / f"batch-{n}", batch) for n, batch in enumerate(batches)]
        corpus = curate(
            list(sources), place / "corpus", config, vault=self.vault,
            add_to=None if add_to is None else add_to.path,
        )  # fmt: skip
        verify_corpus(load_corpus(corpus.path))
        return corpus

    def fates(self, corpus: Corpus) -> list[str]:
        """Return what became of every image that ever came in, in the order of the sources."""
        files = sorted(index_path(self.vault, corpus.fingerprint).glob("[0-9]*.arrow"))
        found: list[str] = StagedRows(files).columns(["index_reason"])["index_reason"].to_pylist()
        return found


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def splits(corpus: Corpus) -> dict[str, str]:
    """Return image id -> split."""
    return {
        image_id: split
        for split in corpus.manifest.splits
        for image_id in corpus.rows(["image_id"], [split])["image_id"].to_pylist()
    }


def images(corpus: Corpus) -> dict[str, bytes]:
    rows = corpus.rows(["image_id", "image"])
    pictures = [image["bytes"] for image in rows["image"].to_pylist()]
    return dict(zip(rows["image_id"].to_pylist(), pictures, strict=True))


def cells(start: int, stop: int) -> list[Shot]:
    return [Shot(number, subject=f"p{number // 2}") for number in range(start, stop)]


# Equal to all at once

FIRST = [
    *cells(0, 20),
    Shot(0, subject="p0"),  # an exact copy
    Shot(1, "turned 90°", subject="p0"),
    Shot(2, NEAR, subject="p1"),
    Shot(40, SMALLER, subject="p30"),  # the better copy comes later
    Shot(41, subject="p31"),
    Shot(42, subject="p32"),
    Shot(44, NEAR, subject="p33"),
    Shot(45, label="basophil", subject="p34"),
    Shot(45, label="monocyte", subject="p34"),  # in conflict from the start
]
SECOND = [
    *cells(20, 32),
    Shot(3, subject="p1"),
    Shot(4, "mirrored", subject="p2"),
    Shot(5, NEAR, subject="p2"),
    Shot(20, "turned 15°", subject="p10"),  # a copy within the new batch
    Shot(40, subject="p30"),
    Shot(41, "JPEG quality 50", label="erythroblast", subject="p31"),  # a new conflict of labels
    Shot(42, NEAR, subject="p99"),  # and one of subjects
    Shot(44, "shifted 10 px", subject="p33"),
    Shot(45, NEAR, label="basophil", subject="p34"),
]


@pytest.mark.parametrize("batches", [(FIRST, SECOND), (SECOND, FIRST)], ids=["12", "21"])
def test_in_two_batches_is_decided_as_all_at_once(
    house: House, batches: tuple[list[Shot], list[Shot]]
) -> None:
    whole = house.make(*batches)
    before = house.make(batches[0])
    grown = house.make(batches[1], add_to=before)
    assert house.fates(grown) == house.fates(whole)
    found, wanted = grown.manifest, whole.manifest
    assert (found.n_in, found.n_out, found.dropped) == (wanted.n_in, wanted.n_out, wanted.dropped)
    assert found.n_in == len(FIRST) + len(SECOND)
    assert set(wanted.dropped) == {
        "duplicate", "turned_duplicate", "near_duplicate", "label_conflict", "subject_conflict",
    }  # fmt: skip
    assert images(grown) == images(whole)
    assert found.conflicts == wanted.conflicts == 3
    assert found.parents == {"added_to": before.fingerprint}
    assert (grown.path / "reports" / "conflicts.parquet").is_file()
    assert pq.read_table(grown.path / "reports" / "conflicts.parquet").equals(
        pq.read_table(whole.path / "reports" / "conflicts.parquet")
    )
    report, other = read_report(grown.path).duplicates, read_report(whole.path).duplicates
    assert (report.groups, report.dropped) == (other.groups, other.dropped)


def test_what_cannot_be_read_is_counted_over_all_and_quarantined_once(house: House) -> None:
    first = house.make([Shot(0, BROKEN), *FIRST])
    grown = house.make([*SECOND, Shot(1, BROKEN)], add_to=first)
    assert grown.manifest.n_in == len(FIRST) + len(SECOND) + 2
    assert grown.manifest.dropped["unreadable"] == 2
    assert house.fates(grown)[0] == house.fates(grown)[-1] == "unreadable"
    entries = read_entries(house.folder / "2" / "corpus-quarantine")
    conflicts = [entry for entry in entries if isinstance(entry, ConflictEntry)]
    unread = [entry for entry in entries if isinstance(entry, QuarantineEntry)]
    assert [(entry.position, entry.name) for entry in unread] == [(len(SECOND), "021.png")]
    # Of a group over both batches, the new ones are named: their files are at hand.
    assert sorted((c.reason, len(c.labels), c.positions) for c in conflicts) == [
        ("label_conflict", 2, (17,)), ("label_conflict", 2, (20,)), ("subject_conflict", 1, (18,)),
    ]  # fmt: skip
    assert all(c.names == tuple(f"{n:03d}.png" for n in c.positions) for c in conflicts)


def test_text_in_pictures_is_counted_over_all_and_kept_nowhere(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder:
        def look(self, pixels: Pixels, whole_field: bool = False) -> Look:
            return Look(searched=True, hits=(TextHit((36, 6, 52, 14), "text", 0.9, "ROE JANE"),))

    monkeypatch.setattr(curate_module, "TextFinder", Finder)
    config = CurateConfig(near_duplicates=False)
    place = house.folder
    first = curate([Fields()], place / "one", config, vault=house.vault)
    assert first.manifest.grouped_by == "field"
    grown = curate([Fields()], place / "two", config, vault=house.vault, add_to=first.path)
    record = grown.manifest.deidentification
    assert record is not None
    assert (record.text.images, record.text.read, record.text.hits) == (6, 6, 2)
    assert grown.manifest.dropped == {"burned_in_text": 2, "duplicate": 2}
    for file in index_path(house.vault, grown.fingerprint).iterdir():
        assert b"JANE" not in file.read_bytes()
        assert b"Roe" not in file.read_bytes(), "not even the name of the field"
    rows = StagedRows(sorted(index_path(house.vault, grown.fingerprint).glob("0*.arrow")))
    found = rows.columns(["reason", "thumbs", "field"]).to_pylist()
    assert all((row["thumbs"] is None) == bool(row["reason"]) for row in found)
    assert len({row["field"] for row in found}) == 1


def test_in_three_batches_too(house: House) -> None:
    parts = [[*FIRST, *SECOND][n::3] for n in range(3)]
    whole, grown = house.make(*parts), house.make(parts[0])
    for part in parts[1:]:
        grown = house.make(part, add_to=grown)
    assert house.fates(grown) == house.fates(whole)
    assert images(grown) == images(whole)


def test_what_was_released_comes_over_bit_for_bit_and_keeps_its_split(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = house.make(FIRST)
    # Several shards and row groups, each image from its own.
    monkeypatch.setattr("curation.shards.SHARD_BYTES", 300_000)
    monkeypatch.setattr("curation.corpus_writer._ROW_GROUP_BYTES", 100_000)
    middle = house.make(SECOND, add_to=before)
    assert len(middle.manifest.shards) > 3
    grown = house.make(cells(50, 60), add_to=middle)
    old, new = images(middle), images(grown)
    assert len(old) > 30
    assert {name: new[name] for name in old} == old
    for earlier, later in ((before, middle), (middle, grown)):
        both = splits(earlier).keys() & splits(later).keys()
        assert len(both) > 15
        assert all(splits(earlier)[name] == splits(later)[name] for name in both)


def test_rows_keep_source_licence_and_order(house: House) -> None:
    first = house.make(FIRST, config=CONFIG.model_copy(update={"source_name": "A"}))
    config = CONFIG.model_copy(update={"source_name": "B", "license": "cc0-1.0"})
    grown = house.make(cells(50, 60), add_to=first, config=config)
    rows = grown.rows(["image_id", "source", "license"]).to_pylist()
    old = {row["image_id"] for row in rows if (row["source"], row["license"]) == ("A", None)}
    assert old == splits(first).keys()
    assert {(row["source"], row["license"]) for row in rows if row["image_id"] not in old} == {
        ("B", "cc0-1.0")
    }
    keys = read_vault(house.vault)
    for split in grown.manifest.splits:
        names = grown.rows(["image_id"], [split])["image_id"].to_pylist()
        assert names == sorted(names, key=keys.order_key)


def test_a_copy_of_a_copy_that_is_gone(house: House) -> None:
    """A is like B and B like C; A and C alone are too far apart, and B is dropped."""
    a = Shot(7, "cropped 10 %", subject="p")
    b = Shot(7, "cropped 10 %, not enlarged", subject="p")
    c = Shot(7, "turned 15°", subject="p")
    before = house.make([*cells(10, 16), a, b])
    assert house.fates(before)[6:] == ["", "near_duplicate"]
    # Only the pair of the gone copy is known to be one: as if the other were beyond reach.
    with pytest.MonkeyPatch.context() as patch:
        hide_pairs_of(patch, pixel_id(a.pixels()))
        grown = house.make([c], add_to=before)
    whole = house.make([*cells(10, 16), a, b], [c])
    assert house.fates(grown) == house.fates(whole)
    assert Counter(house.fates(grown))["near_duplicate"] == 2


def hide_pairs_of(patch: pytest.MonkeyPatch, image_id: str) -> None:
    """Let the search find no new pair of one image."""
    search = near_module.near_pairs

    def blind(signatures, image_ids, **how):  # type: ignore[no-untyped-def]
        pairs = search(signatures, image_ids, **how)
        names = np.array(image_ids)
        ends = np.stack([pairs.first, pairs.second], axis=1)
        return pairs.where(~(names[ends] == image_id).any(axis=1), ends)

    patch.setattr("curation.dedupe.find.near_pairs", blind)


def test_only_new_rows_are_searched(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    search = candidates_module.find_candidates

    def counted(codes, *, known=0):  # type: ignore[no-untyped-def]
        seen.append(len(codes) - known)
        return search(codes, known=known)

    monkeypatch.setattr("curation.dedupe.near.find_candidates", counted)
    before = house.make(cells(0, 20))
    house.make([*cells(20, 23), Shot(1, subject="p0")], add_to=before)
    # The exact copy of an old cell need not be looked for.
    assert seen == [20, 3]
    unsearched = house.make(
        cells(0, 20), config=CONFIG.model_copy(update={"near_duplicates": False})
    )
    house.make(cells(20, 23), add_to=unsearched)
    assert seen == [20, 3, 23]


def test_without_the_search_what_was_found_before_holds(house: House) -> None:
    first = house.make([*cells(0, 12), Shot(3, NEAR, subject="p1")])
    off = CONFIG.model_copy(update={"near_duplicates": False})
    grown = house.make(cells(12, 15), add_to=first, config=off)
    assert grown.manifest.dropped == {"near_duplicate": 1}


# Splits


def test_a_better_copy_takes_the_split_of_the_old_one(house: House) -> None:
    worse = [Shot(number, SMALLER, subject=f"p{number}") for number in range(30)]
    first = house.make(worse)
    assert len(first.manifest.splits) == 3
    better = [Shot(number, subject=f"p{number}") for number in range(30)]
    grown = house.make(better, add_to=first)
    assert grown.manifest.dropped == {"near_duplicate": 30}
    old, new = splits(first), splits(grown)
    assert [new[name] for name in ids(better)] == [old[name] for name in ids(worse)]


def test_a_subject_keeps_its_split(house: House) -> None:
    first = house.make([Shot(n, subject=f"p{n // 3}") for n in range(30)])
    more = [Shot(30 + n, subject=f"p{n}") for n in range(10)]
    grown = house.make(more, add_to=first)
    where: dict[str, set[str]] = {}
    for split in grown.manifest.splits:
        for subject in grown.rows(["subject"], [split])["subject"].to_pylist():
            where.setdefault(subject, set()).add(split)
    assert len(where) == 10
    assert all(len(found) == 1 for found in where.values())
    assert all(splits(grown)[name] == split for name, split in splits(first).items())


def two_subjects_apart(corpus: Corpus) -> tuple[str, str]:
    """Return an image of two subjects that lie in two splits."""
    found = splits(corpus)
    one = next(iter(found))
    return one, next(name for name in found if found[name] != found[one])


def test_a_row_that_ties_two_splits_is_dropped(house: House) -> None:
    shots = [Shot(n, subject=f"p{n}", slide=f"s{n}") for n in range(20)]
    first = house.make(shots)
    names = dict(zip(ids(shots), range(20), strict=True))
    one, other = (names[name] for name in two_subjects_apart(first))
    tying = Shot(30, subject=f"p{one}", slide=f"s{other}")
    grown = house.make([tying, Shot(31, subject="new")], add_to=first)
    assert grown.manifest.dropped == {LINKS_SPLITS: 1}
    assert read_report(grown.path).splits.links_splits == 1
    assert house.fates(grown)[20:] == [LINKS_SPLITS, ""]
    again = house.make([Shot(32, subject=f"p{one}")], add_to=grown)
    assert again.manifest.dropped == {LINKS_SPLITS: 1}
    assert splits(again).items() >= splits(grown).items()


@pytest.mark.parametrize(
    ("change", "dropped"),
    [
        # The better copy is new, and may go nowhere; else the best of the old stays where it is.
        ("", {"near_duplicate": 2, LINKS_SPLITS: 1}),
        (SMALLER, {"near_duplicate": 2}),
    ],
)
def test_a_copy_that_shows_one_cell_in_two_splits(
    house: House, change: str, dropped: dict[str, int]
) -> None:
    """What was not seen to be one cell before goes but for one; nothing else moves."""
    shots = [Shot(n, subject=f"p{n}") for n in range(12)]
    more = [Shot(30, "cropped 5 %"), Shot(30, "cropped 2 %")]
    found: dict[str, str] = {}
    for number in range(1, 12):
        with pytest.MonkeyPatch.context() as patch:
            hide_pairs_of(patch, ids(more)[0])
            first = house.make([*shots, replace(more[0], slide="s"), replace(more[1], slide="t"),
                                *(Shot(40 + n, slide="s") for n in range(number))])  # fmt: skip
        found = splits(first)
        if found[ids(more)[0]] != found[ids(more)[1]]:
            break
    assert found[ids(more)[0]] != found[ids(more)[1]]
    grown = house.make([Shot(30, change)], add_to=first)
    assert grown.manifest.dropped == dropped
    left = splits(grown)
    assert all(left[name] == found[name] for name in found.keys() - set(ids(more)))
    if change:
        assert len(left.keys() & set(ids(more))) == 1


def test_a_split_is_kept_when_all_its_cells_have_gone(house: House) -> None:
    shots = [Shot(n, subject=f"p{n}") for n in range(20)]
    first = house.make(shots)
    wrong = [replace(shot, label="blast_unspecified") for shot in shots[:14]]
    second = house.make(wrong, add_to=first)
    assert second.manifest.dropped == {"label_conflict": 28}
    back = [Shot(40 + n, subject=f"p{n}") for n in range(14)]
    third = house.make(back, add_to=second)
    had = [splits(first)[name] for name in ids(shots[:14])]
    assert len(set(had)) == 3
    assert [splits(third)[name] for name in ids(back)] == had


def test_an_earlier_version_that_divides_a_subject_is_refused(house: House) -> None:
    first = house.make([Shot(n, subject=f"p{n // 4}") for n in range(20)])
    change_index(house, first, lambda table: table.set_column(
        table.schema.get_field_index("index_split"), "index_split",
        pa.array(np.arange(len(table)) % 3, pa.int8()),
    ))  # fmt: skip
    with pytest.raises(
        SplitConflictError, match="in the earlier version, two or more splits share"
    ):
        house.make(cells(30, 32), add_to=first)


def change_index(house: House, corpus: Corpus, change: Callable[[pa.Table], pa.Table]) -> None:
    place = index_path(house.vault, corpus.fingerprint)
    for file in place.glob("[0-9]*.arrow"):
        staged = StagedRows([file])
        table = change(staged.columns(staged.names))
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)


# What is dropped and could come back


def test_a_conflict_that_a_person_resolved_comes_back_with_the_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [Shot(30, label="basophil", subject="a"), Shot(30, label="monocyte", subject="a")]
    first = house.make([*cells(0, 10), *both])
    assert first.manifest.dropped == {"label_conflict": 2}
    one, other = ids(cells(0, 2))
    decided = {ids(both)[0]: "monocyte", one: "blast_unspecified", other: None}
    monkeypatch.setattr(curate_module, "label_decisions", lambda vault: decided)
    grown = house.make(both, add_to=first)
    rows = grown.rows(["image_id", "label"])
    labels = dict(zip(rows["image_id"].to_pylist(), grown.labels(), strict=True))
    assert labels[ids(both)[0]] == "monocyte"
    assert labels[one] == "blast_unspecified"
    assert other not in labels
    assert grown.manifest.dropped == {"duplicate": 3, "dropped_in_review": 1}


def test_checks_judge_new_rows_alone(house: House) -> None:
    first = house.make(cells(0, 12))
    config = CONFIG.model_copy(update={"drop_flagged": ("focus",)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "curation.decide.flag_reasons",
            lambda flags, chosen, count: np.full(count, "flagged_focus", object),
        )
        grown = house.make(cells(12, 15), add_to=first, config=config)
    assert grown.manifest.dropped == {"flagged_focus": 3}
    assert splits(grown) == splits(first)
    later = house.make(cells(15, 18), add_to=grown)
    assert later.manifest.dropped == {"flagged_focus": 3}, "its image is not there any more"


# What is refused


def test_a_lost_index_blocks_no_reading_and_says_what_to_do(house: House) -> None:
    corpus = house.make(cells(0, 10))
    shutil.rmtree(house.vault / "index")
    verify_corpus(load_corpus(corpus.path))
    with pytest.raises(
        HashIndexError, match=r"holds no hash index of corpus .* curate all sources"
    ):
        house.make(cells(10, 12), add_to=corpus)


@pytest.mark.parametrize("name", ["format_version", "model_version"])
def test_an_index_of_another_version_is_refused(house: House, name: str) -> None:
    corpus = house.make(cells(0, 10))
    head = index_path(house.vault, corpus.fingerprint) / "index.json"
    found = IndexHead.model_validate_json(head.read_bytes())
    head.write_text(found.model_copy(update={name: 99}).model_dump_json())
    with pytest.raises(HashIndexError, match=r"of another version: .*99.*curate all sources anew"):
        house.make(cells(10, 12), add_to=corpus)


def test_an_index_of_more_keys_than_known_is_refused_by_its_version(house: House) -> None:
    corpus = house.make(cells(0, 10))
    head = index_path(house.vault, corpus.fingerprint) / "index.json"
    head.write_text(f'{{"format_version": {INDEX_FORMAT + 1}, "model_version": {MODEL_VERSION}}}')
    with pytest.raises(HashIndexError, match="of another version"):
        house.make(cells(10, 12), add_to=corpus)


def damage_head(place: Path) -> None:
    (place / "index.json").write_text("{}")


def damage_rows(place: Path) -> None:
    (place / "000000.arrow").write_bytes(b"ARROW1\0\0")


def lose_rows(place: Path) -> None:
    (place / "000000.arrow").unlink()


def lose_pairs(place: Path) -> None:
    (place / "pairs.arrow").unlink()


@pytest.mark.parametrize("damage", [damage_head, damage_rows, lose_rows, lose_pairs])
def test_a_damaged_index_is_refused(house: House, damage: Callable[[Path], None]) -> None:
    corpus = house.make(cells(0, 10))
    damage(index_path(house.vault, corpus.fingerprint))
    with pytest.raises(HashIndexError, match="curate all sources anew"):
        house.make(cells(10, 12), add_to=corpus)


def test_an_index_with_other_columns_is_refused(house: House) -> None:
    corpus = house.make(cells(0, 10))
    change_index(house, corpus, lambda table: table.drop_columns(["raw_sharpness"]))
    with pytest.raises(HashIndexError, match="does not fit"):
        house.make(cells(10, 12), add_to=corpus)


def test_an_index_of_another_run_with_the_same_cells_is_refused(house: House) -> None:
    corpus = house.make(cells(0, 10))
    same = house.make([*cells(0, 10), *cells(0, 1)])
    assert same.fingerprint == corpus.fingerprint
    with pytest.raises(HashIndexError, match=r"it knows 11 images, the corpus was made of 10"):
        house.make(cells(10, 12), add_to=corpus)
    assert house.make(cells(10, 12), add_to=same).manifest.n_in == 13


def test_another_key_is_refused(house: House) -> None:
    corpus = house.make(cells(0, 10))
    rotate_vault(house.vault)
    with pytest.raises(CorpusError, match=r"one patient would get two pseudonyms.*rotation"):
        house.make(cells(10, 12), add_to=corpus)


def test_without_its_vault_nothing_is_made(house: House, tmp_path: Path) -> None:
    corpus = house.make(cells(0, 10))
    batch = write_batch(tmp_path / "batch", cells(10, 12))
    with pytest.raises(VaultError, match="is no vault"):
        curate([batch], tmp_path / "out", CONFIG, add_to=corpus.path)
    assert not default_vault(corpus.path).exists()
    assert not (tmp_path / "out").exists()


def test_the_vault_beside_the_corpus_is_taken(tmp_path: Path) -> None:
    corpus = curate([write_batch(tmp_path / "a", cells(0, 10))], tmp_path / "c1", CONFIG)
    grown = curate(
        [write_batch(tmp_path / "b", cells(10, 12))], tmp_path / "c2", CONFIG, add_to=corpus.path
    )
    assert grown.manifest.n_out == 12
    assert not default_vault(tmp_path / "c2").exists()


def test_a_changed_corpus_is_refused(house: House) -> None:
    corpus = house.make(cells(0, 10))
    shard = corpus.path / corpus.manifest.shards[0].path
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 1
    shard.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match="was changed"):
        house.make(cells(10, 12), add_to=corpus)


def test_another_text_search_is_refused(house: House) -> None:
    corpus = house.make(cells(0, 10))
    with pytest.raises(PolicyError, match="one corpus needs one answer"):
        house.make(
            cells(10, 12), add_to=corpus, config=CONFIG.model_copy(update={"text": "redact"})
        )


def test_another_policy_is_refused(house: House, tmp_path: Path) -> None:
    from curation.deidentify.policy import load_policy

    corpus = house.make(cells(0, 10))
    batch = write_batch(tmp_path / "batch", cells(10, 12))
    other = load_policy().model_copy(update={"k": 7})
    with pytest.raises(PolicyError, match="with another policy"):
        curate([batch], tmp_path / "out", CONFIG, policy=other, vault=house.vault,
               add_to=corpus.path)  # fmt: skip


def test_other_columns_are_refused(house: House, tmp_path: Path) -> None:
    corpus = house.make(cells(0, 10))
    batch = write_batch(tmp_path / "batch", cells(10, 12))
    table = (batch / "metadata.csv").read_text().splitlines()
    lines = [f"{table[0]},age", *(f"{line},44" for line in table[1:])]
    (batch / "metadata.csv").write_text("\n".join(lines))
    with pytest.raises(PolicyError, match=r"from its policy: none; the new sources make: age"):
        curate([batch], tmp_path / "out", CONFIG, vault=house.vault, add_to=corpus.path)


def test_two_subjects_of_one_image_are_a_conflict_over_batches(house: House) -> None:
    first = house.make(cells(0, 10))
    grown = house.make([Shot(0, subject="somebody else")], add_to=first)
    assert grown.manifest.dropped == {"subject_conflict": 2}


# The index itself


def test_the_index_is_private_and_holds_no_image_and_no_name(house: House) -> None:
    corpus = house.make([*FIRST, Shot(3, subject="Adalbert Quill", slide="slide 77A")])
    place = index_path(house.vault, corpus.fingerprint)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    files = sorted(place.iterdir())
    assert [file.name for file in files] == ["000000.arrow", "index.json", "pairs.arrow"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    everything = b"".join(file.read_bytes() for file in files)
    assert b"Adalbert" not in everything
    assert b"77A" not in everything
    assert b"\x89PNG" not in everything
    rows = StagedRows(files[:1])
    assert rows.columns(["data"])["data"].null_count == len(FIRST) + 1
    assert set(FATE.names) <= set(rows.names)
    assert not any("index" in path.name for path in corpus.path.rglob("*"))


def test_a_kill_while_it_is_written_leaves_none_or_all(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = index_module._write_table

    def killed(path: Path, table: pa.Table) -> None:
        if path.name == "pairs.arrow":
            raise KeyboardInterrupt
        write(path, table)

    monkeypatch.setattr(index_module, "_write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        house.make(cells(0, 10))
    assert not (house.folder / "1" / "corpus").exists()
    assert [entry.name[0] for entry in (house.vault / "index").iterdir()] == ["."]
    monkeypatch.undo()
    corpus = curate([house.folder / "1" / "batch-0"], house.folder / "1" / "corpus", CONFIG,
                    vault=house.vault)  # fmt: skip
    assert [e.name for e in (house.vault / "index").iterdir()] == [corpus.fingerprint]


def test_a_vault_that_cannot_be_written_is_named(house: House) -> None:
    (house.vault / "index").write_text("in the way")
    with pytest.raises(VaultError, match="cannot be written"):
        house.make(cells(0, 10))


def test_an_interrupted_addition_goes_on(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    first = house.make(FIRST)
    monkeypatch.setattr(curate_module, "write_index", interrupt)
    with pytest.raises(KeyboardInterrupt):
        house.make(SECOND, add_to=first)
    monkeypatch.undo()
    place = house.folder / "2"
    resumed = curate([place / "batch-0"], place / "corpus", CONFIG, vault=house.vault,
                     add_to=first.path)  # fmt: skip
    assert resumed.manifest.n_in == len(FIRST) + len(SECOND)
    assert {path.name for path in resumed.path.iterdir()} == {"data", "manifest.json", "reports"}


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_vault_says_what_can_be_added_to_and_the_scan_finds_no_leak(house: House) -> None:
    first = house.make([*cells(0, 10), Shot(50, subject="Adalbert Quillington")])
    more = [Shot(51, subject="Brunhild Roth-Meyer"), Shot(52, subject="Adalbert Quillington")]
    grown = house.make([*cells(10, 12), Shot(0, subject="p0"), *more], add_to=first)
    shown = smearkit("vault", "show", house.vault, "--json")
    assert json.loads(shown)["indexes"] == sorted([first.fingerprint, grown.fingerprint])
    scan = json.loads(smearkit("audit", grown.path, "--against", house.vault, "--json"))
    assert scan["clean"]
    assert scan["searched"] == 2, "the names of the earlier batch as well"
    said = smearkit("vault", "rotate", house.vault)
    assert "nor can cells be added (--add-to)" in said
    assert json.loads(smearkit("vault", "show", house.vault, "--json"))["indexes"] == []


def smearkit(*arguments: object) -> str:
    result = CliRunner().invoke(cli.app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout
