"""Tests of the stage `validate`: what it writes, whom it shows, and what it refuses."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from curation.corpus import load_corpus
from curation.deidentify.label_decisions import LabelDecision, record_label_decision
from curation.errors import OutputExistsError, SmearkitError
from curation.pixels import decode_rgb, pixel_id
from curation.validate.label_queue import (
    LABEL_QUEUE_NAME,
    N_EXAMPLES,
    DoubtfulLabel,
    read_label_queue,
)
from smearkit import cli
from smearkit.validation import ValidateConfig, read_validation, validate
from smearkit.validation_page import percent
from tests.made_validation import LABELS, N_WRONG, MadeValidation, made_validation


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeValidation:
    """The validation that these tests share; read only."""
    return made_validation(tmp_path_factory.getbasetemp() / "validation")


# --- what is written ---


def test_planted_label_errors_lead_the_queue(made: MadeValidation) -> None:
    worst = read_label_queue(made.folder)[:N_WRONG]
    assert [(one.given.label, one.suggested) for one in worst] == [
        ("platelet", "lymphocyte")
    ] * N_WRONG


def test_the_report_is_read_back(made: MadeValidation) -> None:
    assert read_validation(made.folder) == made.report
    assert made.report.fingerprint == made.corpus.fingerprint
    assert made.report.n == made.corpus.manifest.n_out
    assert made.report.queued == len(read_label_queue(made.folder))
    assert Path(made.report.vault) == made.vault.resolve()


def test_each_picture_is_the_cell_it_says(made: MadeValidation) -> None:
    for entry in read_label_queue(made.folder):
        pixels = decode_rgb((made.folder / "pictures" / entry.picture).read_bytes())
        assert pixel_id(pixels) == entry.image_id


def test_examples_are_of_every_judged_class(made: MadeValidation) -> None:
    found = {path.name.rpartition("-")[0] for path in (made.folder / "examples").iterdir()}
    assert found == set(LABELS)
    assert len(list((made.folder / "examples").iterdir())) == N_EXAMPLES * len(LABELS)


def test_the_folder_is_private_and_holds_no_working_files(made: MadeValidation) -> None:
    assert stat.S_IMODE(made.folder.stat().st_mode) == 0o700
    names = {path.name for path in made.folder.iterdir()}
    assert names == {"report.json", "report.html", LABEL_QUEUE_NAME, "pictures", "examples"}


def test_one_acquisition_binds_no_class(made: MadeValidation) -> None:
    assert made.report.acquisitions.confounded == ()


# --- the page ---


class Loads(HTMLParser):
    """Every address that a page would load, and its open tags."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.open: list[str] = []
        self.feed(document)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "object")
        self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone(made: MadeValidation) -> None:
    page = (made.folder / "report.html").read_text(encoding="utf-8")
    found = Loads(page).found
    assert len(found) == made.report.queued + len(made.report.acquisitions.acquisitions)
    assert all(address.startswith("data:image/jpeg;base64,") for address in found)
    assert re.findall(r"url\(|@import|https?://", page) == []


def test_the_page_says_nothing_of_source_files(made: MadeValidation) -> None:
    for path in made.folder.rglob("*"):
        if path.is_file():
            assert b"cell_0" not in path.read_bytes(), path.name


@pytest.mark.parametrize(
    ("share", "said"),
    [(0, "0"), (1, "100"), (0.00002, "< 0.1"), (0.9999, "> 99.9"), (0.004, "0.4"), (0.5, "50"),
     (0.995, "99.5")],
)  # fmt: skip
def test_shares_are_not_rounded_to_all_or_nothing(share: float, said: str) -> None:
    assert percent(share) == f"{said}\u00a0%"


# --- again, and otherwise ---


def test_a_label_that_a_person_kept_does_not_come_back(
    made: MadeValidation, tmp_path: Path
) -> None:
    first, *rest = read_label_queue(made.folder)
    (tmp_path / "vault").mkdir()
    given = first.given.label
    kept = LabelDecision(
        image_id=first.image_id, action="keep", given=given, label=given, at=datetime.now(UTC)
    )
    record_label_decision(tmp_path / "vault", kept)
    report = validate(made.corpus.path, tmp_path / "again", vault=tmp_path / "vault")
    assert report.settled == 1
    assert read_label_queue(tmp_path / "again") == tuple(rest)


def test_an_embedding_is_used(made: MadeValidation, tmp_path: Path) -> None:
    seen: list[int] = []

    def embed(tiles_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(len(tiles_NHWC))
        return np.asarray(tiles_NHWC.reshape(len(tiles_NHWC), -1)[:, ::97], np.float32)

    report = validate(made.corpus.path, tmp_path / "out", vault=made.vault, embedding=embed)
    assert sum(seen) == report.n
    assert report.labels is not None
    assert report.labels.features == "an embedding"


def test_the_queue_is_no_longer_than_asked(made: MadeValidation, tmp_path: Path) -> None:
    config = ValidateConfig(most_pictures=2)
    report = validate(made.corpus.path, tmp_path / "out", config, vault=made.vault)
    assert report.queued == 2
    assert read_label_queue(tmp_path / "out") == read_label_queue(made.folder)[:2]


def test_it_never_writes_into_a_corpus_or_over_anything(
    made: MadeValidation, tmp_path: Path
) -> None:
    with pytest.raises(SmearkitError, match="lies inside"):
        validate(made.corpus.path, made.corpus.path / "reports" / "v")
    with pytest.raises(OutputExistsError):
        validate(made.corpus.path, made.folder)
    assert load_corpus(made.corpus.path).fingerprint == made.corpus.fingerprint


def test_the_verb(made: MadeValidation, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["validate", str(made.corpus.path), "--out", str(out), "--vault", str(made.vault)]
    result = CliRunner().invoke(cli.app, [*arguments, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["labels"] == json.loads(made.report.model_dump_json())["labels"]
    again = CliRunner().invoke(cli.app, [*arguments[:3], str(tmp_path / "two"), *arguments[4:]])
    assert "no class is bound to one acquisition" in again.stdout
    assert "smearkit review" in again.stdout
    refused = CliRunner().invoke(cli.app, arguments)
    assert refused.exit_code == 1
    assert "never overwritten" in refused.stderr


# --- the queue file ---


def entry_line(made: MadeValidation, **changes: object) -> str:
    entry = read_label_queue(made.folder)[0].model_dump(mode="json")
    return json.dumps(entry | changes)


@pytest.mark.parametrize(
    "changes",
    [{"picture": "../../etc/passwd"}, {"image_id": "x"}, {"quality": 1.5}, {"guesses": []},
     {"given": {"label": "no such cell", "share": 0.1}}, {"name": "Mueller"},
     {"given": {"label": "lymphocyte", "share": 0.1}}],
)  # fmt: skip
def test_lines_that_do_not_fit_are_refused(
    made: MadeValidation, tmp_path: Path, changes: dict[str, object]
) -> None:
    (tmp_path / LABEL_QUEUE_NAME).write_text(entry_line(made) + "\n" + entry_line(made, **changes))
    with pytest.raises(SmearkitError, match=f"{LABEL_QUEUE_NAME}, line 2, at") as refused:
        read_label_queue(tmp_path)
    assert "Mueller" not in str(refused.value)


def test_a_folder_that_is_no_validation_is_named(tmp_path: Path) -> None:
    with pytest.raises(SmearkitError, match="is no validation that can be read"):
        read_label_queue(tmp_path)
    with pytest.raises(SmearkitError, match=r"has no report\.json"):
        read_validation(tmp_path)


def test_a_line_is_read_back_as_it_was_written(made: MadeValidation) -> None:
    for entry in read_label_queue(made.folder):
        assert DoubtfulLabel.model_validate_json(entry.model_dump_json()) == entry
