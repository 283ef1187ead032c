"""The two-sided score over the made export, and that its judges see what they are shown."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import curate as curate_module
from curation import curation_report, released_cell
from curation.curate import CurateConfig, curate
from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.policy import Policy, Rule, load_policy
from curation.deidentify.vault import open_vault, read_vault, record_identifiers
from curation.pixels import Limits, ReleasedImage, release_image, release_pixels
from tests.deidentify.planted.cells import cell, encoded
from tests.deidentify.planted.command import Command
from tests.deidentify.planted.export import write_vault
from tests.deidentify.planted.images import write_image_part
from tests.deidentify.planted.invented import Invented
from tests.deidentify.planted.jpeg import planted_jpegs
from tests.deidentify.planted.judge import Judge, everything, needles
from tests.deidentify.planted.mistakes import write_mistakes
from tests.deidentify.planted.outcome import read_outcome
from tests.deidentify.planted.png import chunk, with_chunk
from tests.deidentify.planted.proof import KEPT, REMOVED, Proof, prove
from tests.deidentify.planted.score import Score, score
from tests.deidentify.planted.tables import Part, write_csv_part

FEWEST = 400
# Carrier -> fewest facts that must go, and that must stay.
FEWEST_EACH = {
    "path of the source": (1, 0), "user": (1, 0), "file names": (150, 0), "folder names": (50, 0),
    "times of files": (15, 0), "files beside images": (5, 0), "JPEG": (80, 130), "PNG": (50, 50),
    "TIFF": (50, 30), "GIF": (8, 14), "WebP": (25, 14), "BMP": (4, 8), "CSV": (130, 100),
    "JSON lines": (130, 100), "Parquet table": (130, 100), "Parquet with images": (150, 100),
    "Excel": (150, 100), "fields": (20, 0), "whole slides": (20, 30), "DICOM": (190, 90),
    "DICOM, cleaned": (0, 120), "moved days": (18, 100), "labels": (3, 6), "errors": (40, 0),
    "two tables": (0, 150), "whole export": (0, 1), "burned into pixels": (6, 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def proof(tmp_path_factory: pytest.TempPathFactory) -> Proof:
    return prove(tmp_path_factory.mktemp("proof"))


@pytest.mark.e2e
def test_everything_goes_that_must_and_what_must_stay_is_kept(proof: Proof) -> None:
    found, failures = proof.score, [failure.line() for failure in proof.score.failures]
    message = "\n".join([*found.lines(), *failures])
    assert found.total.removed >= REMOVED * found.total.must_go, message
    assert found.total.kept >= KEPT * found.total.must_stay, message
    assert (REMOVED, KEPT) == (1.0, 0.99)


@pytest.mark.e2e
def test_there_are_enough_facts_in_every_carrier(proof: Proof) -> None:
    tallies = proof.score.carriers
    assert min(proof.score.total.must_go, proof.score.total.must_stay) >= FEWEST
    assert set(tallies) == set(FEWEST_EACH)
    for carrier, (go, stay) in FEWEST_EACH.items():
        assert tallies[carrier].must_go >= go, carrier
        assert tallies[carrier].must_stay >= stay, carrier


@pytest.mark.e2e
def test_every_fact_that_must_go_is_in_the_source(proof: Proof) -> None:
    # What no search can see in the source says nothing by not being found in what came out.
    assert [(fact.carrier, fact.where) for fact in proof.unseen] == []


@pytest.mark.e2e
def test_the_leak_scan_says_the_same(proof: Proof) -> None:
    vault = read_vault(proof.curated.vault)
    known = scan_for_leaks(proof.curated.published, vault)
    assert known.searched > FEWEST
    assert (known.hits, known.not_searched) == ((), ())
    record_identifiers(vault, searched_for(proof))
    told = scan_for_leaks(proof.curated.published, vault)
    assert told.searched > known.searched + FEWEST
    assert (told.hits, told.not_searched) == ((), ())
    assert "planted" not in {entry.kind for entry in told.left_out_why}


@pytest.mark.e2e
def test_the_leak_scan_would_have_seen_it(proof: Proof, tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "vault")
    record_identifiers(vault, searched_for(proof))
    scan = scan_for_leaks(proof.export.root, vault)
    seen = {hit.short_id for hit in (*scan.hits, *scan.possible)}
    missed = [
        text for kind, text in searched_for(proof) if vault.pseudonym(kind, text)[:8] not in seen
    ]
    # It opens what is published: no palette, no bits between pixels, no pages of a TIFF.
    assert len(missed) <= 0.03 * scan.searched, missed


def searched_for(proof: Proof) -> list[tuple[str, str]]:
    """Return what must be in no byte, but what only stands in times of change, as identifiers."""
    planted = (fact for fact in proof.export.facts if fact.must == "go" and not fact.check)
    return [("planted", fact.text) for fact in planted if fact.carrier != "times of files"]


# The judges: a run that leaks is planted, and seen.

Small = tuple[Part, Part]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Small:
    """The JPEG files of the made export, and its image folder with a CSV table."""
    root, invented = tmp_path_factory.mktemp("small"), Invented()
    images = write_image_part(root / "images", invented, 0, (planted_jpegs,))
    return images, write_csv_part(root / "csv", invented, 5_000)


def judged(
    small: Small, folder: Path, config: CurateConfig | None = None, policy: Policy | None = None
) -> Score:
    """Curate the small export and return its score."""
    write_vault(folder / "vault")
    config = config or CurateConfig(text="off")
    out = folder / "published" / "corpus"
    curate([part.source for part in small], out, config, policy=policy, vault=folder / "vault",
           quarantine=folder / "quarantine")  # fmt: skip
    facts = [fact for part in small for fact in part.facts]
    return score(facts, Judge(everything(folder / "published")), read_outcome([out]))


def failed(found: Score, must: str) -> set[str]:
    """Return "carrier: place" of the facts that failed, a place without what is said behind it."""
    facts = [failure.fact for failure in found.failures if failure.fact.must == must]
    return {f"{fact.carrier}: {fact.where}" for fact in facts}


def test_the_small_export_is_clean(small: Small, tmp_path: Path) -> None:
    found = judged(small, tmp_path)
    assert found.failures == ()
    assert found.reaches(1.0, 1.0)
    assert found.total.must_go > 300
    assert found.lines()[-1].split() == [
        "all", str(found.total.must_go), "100.0%", str(found.total.must_stay), "100.0%"
    ]  # fmt: skip


@pytest.fixture
def passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are released as they are."""

    def as_it_is(data: bytes, limits: Limits, *, reencode: bool = False) -> ReleasedImage:
        return replace(release_image(data, limits, reencode=reencode), data=data)

    monkeypatch.setattr(released_cell, "release_image", as_it_is)


@pytest.mark.usefixtures("passed_on")
def test_images_that_are_passed_on_as_they_are_would_be_seen(small: Small, tmp_path: Path) -> None:
    found = judged(small, tmp_path)
    # Two of the files show nothing, so that they are refused.
    assert found.carriers["JPEG"].removed == 2
    assert not found.reaches(0.99, 0.0)
    assert found.carriers["CSV"].removed == found.carriers["CSV"].must_go


@pytest.mark.e2e
@pytest.mark.usefixtures("passed_on")
def test_the_leak_scan_sees_images_that_are_passed_on(small: Small, tmp_path: Path) -> None:
    judged(small, tmp_path)
    vault = read_vault(tmp_path / "vault")
    jpeg = [f.text for f in small[0].facts if f.carrier == "JPEG" and f.must == "go"]
    record_identifiers(vault, [("subject", text) for text in jpeg])
    seen = {hit.short_id for hit in scan_for_leaks(tmp_path / "published", vault).hits}
    found = [text for text in jpeg if vault.pseudonym("subject", text)[:8] in seen]
    assert len(found) >= 0.9 * len(jpeg)


def test_a_policy_that_keeps_a_column_would_be_seen(small: Small, tmp_path: Path) -> None:
    leaky = {"user": "who", "ward": "place"}
    rules = []
    for column, to in leaky.items():
        (text,) = (f.text for f in small[1].facts if f.where == f"column {column}")
        rules.append(Rule(names=(column,), action="code", to=to, codes={text: text}))
    default = load_policy()
    others = [
        rule.model_copy(update={"names": tuple(name for name in rule.names if name not in leaky)})
        for rule in default.columns
    ]
    policy = default.model_copy(update={"columns": (*rules, *others)})
    found = judged(small, tmp_path, policy=policy)
    assert failed(found, "go") == {"CSV: column user", "CSV: column ward"}
    assert failed(found, "stay") == set()
    assert all(failure.seen_in.endswith(".parquet") for failure in found.failures)


def test_a_report_that_names_files_would_be_seen(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = curation_report.write_report

    def named(folder: Path, *rest: Any) -> Any:
        report = write(folder, *rest)
        names = [path.name for path in sorted(small[1].source.iterdir())]
        (folder / "files.json").write_text(json.dumps(names))
        return report

    monkeypatch.setattr(curate_module, "write_report", named)
    found = judged(small, tmp_path)
    of_table = {f for f in small[1].facts if f.carrier == "file names"}
    assert {failure.fact for failure in found.failures} == of_table
    assert "files.json" in found.failures[0].line()


@pytest.mark.parametrize("show", [False, True])
def test_a_refusal_that_names_a_file_would_be_seen(show: bool, tmp_path: Path) -> None:
    mistakes = write_mistakes(tmp_path / "mistakes", Invented())
    bad = next(mistake for mistake in mistakes if "leads out" in mistake.says)
    run = Command(tmp_path / "published" / "spoken", "quill")
    more = ["--verbose-private"] if show else []
    vault = tmp_path / "vault"
    assert run("curate", bad.source, "--out", tmp_path / "c", "--vault", vault, *more) == 1
    judge = Judge(everything(tmp_path / "published"))
    seen = [judge.sees(fact.text) is not None for fact in bad.facts]
    assert seen == [show, False]


def test_what_is_lost_would_be_seen(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    anew = judged(small, tmp_path / "anew", CurateConfig(text="off", reencode=True))
    kinds = {place.rpartition(": ")[2] for place in failed(anew, "stay")}
    assert kinds == {"scan"}
    assert failed(anew, "go") == set()

    no_slide = judged(
        small, tmp_path / "slide", CurateConfig(text="off", drop_columns=("slide", "acquired"))
    )
    lost = failed(no_slide, "stay")
    assert {"CSV: slides 0 and 1: two pseudonyms", "CSV: row 3: acquisition_year"} <= lost
    assert all("subject" not in place for place in lost)

    def darker(data: bytes, limits: Limits, *, reencode: bool = False) -> ReleasedImage:
        pixels = release_image(data, limits, reencode=reencode).pixels
        return release_pixels(pixels - np.uint8(pixels.max() > 100), limits)

    monkeypatch.setattr(released_cell, "release_image", darker)
    worse = judged(small, tmp_path / "darker")
    assert worse.carriers["CSV"].kept == 0
    assert not worse.reaches(1.0, 0.99)


NAME, NUMBER, DAY = "Quöllmannsdorff, Änne", "MRN-48213075", "1957-03-12"


def in_parquet(text: str) -> bytes:
    out = io.BytesIO()
    table = pa.table({"a": [{"bytes": None, "path": text}] * 9})
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def in_metadata(text: str) -> bytes:
    out = io.BytesIO()
    table = pa.table({"a": [1]}).replace_schema_metadata({"by": text})
    pq.write_table(table, out)
    return out.getvalue()


def in_image_of_parquet(text: str) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": in_png(text), "path": None}]}), out)
    return out.getvalue()


def in_png(text: str) -> bytes:
    packed = zlib.compress(text.encode())
    return with_chunk(encoded(cell(0), "PNG"), chunk(b"zTXt", b"a\x00\x00" + packed))


def in_zip(text: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.xml", text * 5)
    return out.getvalue()


HIDING: dict[str, Callable[[str], bytes]] = {
    "UTF-8": lambda t: t.encode(),
    "upper case": lambda t: t.upper().encode(),
    "UTF-16": lambda t: b"\x01" + t.lower().encode("utf-16-le"),
    "UTF-16 big endian": lambda t: t.encode("utf-16-be"),
    "Latin-1": lambda t: t.encode("latin-1"),
    "JSON": lambda t: json.dumps([t]).encode(),
    "Parquet": in_parquet,
    "Parquet metadata": in_metadata,
    "PNG in Parquet": in_image_of_parquet,
    "PNG": in_png,
    "zip": in_zip,
}


@pytest.mark.parametrize("text", [NAME, NUMBER, DAY])
@pytest.mark.parametrize("hide", HIDING)
def test_the_judge_sees_into(hide: str, text: str, tmp_path: Path) -> None:
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "a.bin").write_bytes(HIDING[hide](text))
    assert Judge(everything(folder)).sees(text) == "published/a.bin"
    (folder / "a.bin").write_bytes(HIDING[hide](text.replace("3", "4").replace("ll", "l")))
    assert Judge(everything(folder)).sees(text) is None


def test_the_judge_sees_names_times_and_parts(tmp_path: Path) -> None:
    folder = tmp_path / "published"
    (folder / NUMBER).mkdir(parents=True)
    (folder / "a.txt").write_text("by QUÖLLMANNSDORFF on 19570312, 48213075")
    moment = datetime(2003, 4, 5, 6, tzinfo=UTC).timestamp()
    os.utime(folder / NUMBER, (moment, moment))
    judge = Judge(everything(folder))
    assert judge.sees(NUMBER) == f"name of published/{NUMBER}"
    assert judge.sees("2003-04-05") == f"time of published/{NUMBER}"
    assert judge.sees(NAME) is None
    assert judge.sees_part(NAME) == judge.sees(DAY) == "published/a.txt"
    assert judge.sees_part("Quöllmannsdorp, Anne 48213076") is None


def test_what_the_judge_does_not_see_is_what_it_cannot_open(tmp_path: Path) -> None:
    # None of these is among what `curate` writes; the leak scan opens them.
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "a.gz").write_bytes(gzip.compress(NAME.encode()))
    assert Judge(everything(folder)).sees(NAME) is None
    vault = open_vault(tmp_path / "vault")
    record_identifiers(vault, [("subject", NAME)])
    assert len(scan_for_leaks(folder, vault).hits) == 1


def test_needles_are_long_enough_not_to_be_met_by_chance() -> None:
    invented = Invented()
    for make in (invented.name, invented.number, invented.plain_name, invented.accession):
        assert all(len(needle) >= 8 for needle in needles(make()))


def test_no_invented_value_is_given_out_twice() -> None:
    invented = Invented()
    makers = (invented.name, invented.number, invented.accession, invented.serial, invented.uid,
              invented.plain_name, invented.email, invented.address)  # fmt: skip
    made = [make() for _ in range(150) for make in makers] + [
        invented.day().isoformat() for _ in range(1000)
    ]
    assert len(set(made)) == len(made)
