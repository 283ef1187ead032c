"""`smearkit check-card`: every number of a card anew, from the rows and the reports beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from curation.errors import ReleaseRefusedError
from curation.frozen import Frozen

from .dataset_card import CARD_FORMAT
from .dataset_folder import is_dataset, open_dataset
from .facts import CardFacts, read_facts
from .release_files import CARD_NAME, DERIVED
from .release_info import RELEASE_NAME, read_release
from .release_record import companion_of, read_record
from .row_counts import RowCounts

_HEADING = re.compile(r"^(#{1,6}) (.+)$")
_PLACEHOLDER = re.compile(r"more information needed|\bTODO\b|\bTBD\b|lorem ipsum", re.I)


class CardFault(Frozen):
    """One thing that a card, or a file made with it, says wrongly."""

    file: str
    line: int | None = None
    section: str | None = None
    expected: str
    found: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        where = self.file + (f", line {self.line}" if self.line else "")
        where += f" ({self.section})" if self.section else ""
        return f"{where}: expected {self.expected}; found {self.found}"


def check_card(path: Path) -> tuple[CardFault, ...]:
    """Return what is wrong with the card of a dataset folder, or with both cards of a release.

    Every file that is made of the others is written anew from the rows and the reports, and
    compared line by line.

    Raises: ReleaseRefusedError where there is no card; SmearkitError where a report is missing.
    """
    if (path / RELEASE_NAME).is_file():
        release = read_release(path)
        folders = [release.real, release.synthetic]
        found = [fault for folder in folders for fault in check_folder(folder)]
        return (*found, *_companions(release.real, release.synthetic))
    if not is_dataset(path):
        raise ReleaseRefusedError(
            f"{path} is no release and no dataset of one. Next: give what `smearkit release` made"
        )
    return tuple(check_folder(path))


def check_folder(folder: Path) -> list[CardFault]:
    """Return what is wrong with the card of one dataset folder, and with what goes with it."""
    facts = read_facts(folder)
    found = [*_counts(facts)]
    same_format = facts.record.card_format == CARD_FORMAT
    for name, write in DERIVED.items():
        file = folder / name
        if not file.is_file():
            found.append(CardFault(file=_name(file), expected="a file", found="nothing"))
            continue
        text = file.read_text(encoding="utf-8")
        if same_format:
            found += _differences(_name(file), write(facts), text)
        elif name == CARD_NAME:
            # Its words are another version's; its numbers are still those of the rows.
            found += _numbers(_name(file), facts, text)
        if name == CARD_NAME:
            found += _sections(_name(file), text)
    return found


def _name(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def _differences(name: str, expected: str, found: str) -> Iterator[CardFault]:
    """Yield each line that is not as it would be written now."""
    import difflib

    old, new = found.splitlines(), expected.splitlines()
    sections = _section_of_line(old)
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():  # fmt: skip
        if tag == "equal":
            continue
        for step in range(max(i_end - i, j_end - j)):
            here, there = i + step, j + step
            line = min(here, len(old) - 1)
            yield CardFault(
                file=name,
                line=line + 1,
                section=sections[line] if sections else None,
                expected=repr(new[there]) if there < j_end else "no such line",
                found=repr(old[here]) if here < i_end else "no such line",
            )


def _section_of_line(lines: list[str]) -> list[str | None]:
    current, found = None, []
    for line in lines:
        if heading := _HEADING.match(line):
            current = heading[2]
        found.append(current)
    return found


def _sections(name: str, text: str) -> Iterator[CardFault]:
    """Yield each section without a word, and each placeholder."""
    lines = _body(text)
    headings = [
        (number, heading)
        for number, line in lines
        if (heading := _HEADING.match(line)) and not _inside_code(lines, number)
    ]
    for position, (number, heading) in enumerate(headings):
        after = headings[position + 1] if position + 1 < len(headings) else None
        end = after[0] if after else lines[-1][0] + 1
        words = [line for n, line in lines if number < n < end and line.strip()]
        deeper = after is not None and len(after[1][1]) > len(heading[1])
        if not words and not deeper:
            yield CardFault(
                file=name, line=number, section=heading[2], expected="text", found="nothing"
            )
    for number, line in lines:
        if placeholder := _PLACEHOLDER.search(line):
            yield CardFault(
                file=name, line=number, expected="a fact, or that it is not stated",
                found=repr(placeholder[0]),
            )  # fmt: skip


def _body(text: str) -> list[tuple[int, str]]:
    """Return (line number, line) of what comes after the YAML head."""
    lines = list(enumerate(text.splitlines(), start=1))
    if lines and lines[0][1] == "---":
        end = next((n for n, line in lines[1:] if line == "---"), 0)
        lines = lines[end:]
    return lines


def _inside_code(lines: list[tuple[int, str]], number: int) -> bool:
    return sum(line.startswith("```") for n, line in lines if n < number) % 2 == 1


def _counts(facts: CardFacts) -> Iterator[CardFault]:
    """Yield where the reports count other rows than there are."""
    manifest, counts = facts.manifest, facts.counts
    file = f"{facts.folder.name}/reports/corpus.json"
    dropped = sum(manifest.dropped.values())
    pairs: list[tuple[str, object, object]] = [
        ("rows", counts.rows, manifest.n_out),
        ("rows of each split", dict(counts.splits), manifest.splits),
        ("rows of each class", _plain(counts), manifest.classes),
        ("subjects", dict(counts.subjects), manifest.subjects),
        ("slides", dict(counts.slides), manifest.slides),
        ("images that came in", counts.rows + dropped, manifest.n_in),
    ]
    if facts.curation is not None:
        pairs.append(("rows by curation.json", counts.rows, facts.curation.n_out))
    for what, expected, found in pairs:
        if expected != found:
            yield CardFault(file=file, section=what, expected=str(expected), found=str(found))


def _plain(counts: RowCounts) -> dict[str, dict[str, int]]:
    return {split: dict(labels) for split, labels in counts.classes.items()}


def _numbers(name: str, facts: CardFacts, text: str) -> Iterator[CardFault]:
    """Yield each line of the class table that lacks one of the counts of its class."""
    for row in facts.classes():
        if not facts.is_real and not row.synthetic:
            continue
        line = next((x for x in text.splitlines() if x.startswith(f"| {row.cell.name} | ")), "")
        written = [int(cell) for cell in re.findall(r"(?<=\| )\d+(?= \|)", line)]
        if facts.is_real:
            # Of how many subjects stands between the splits and the synthetic cells.
            wanted = [row.train, row.validation, row.test, row.synthetic]
            written = [*written[:3], *written[-1:]]
        else:
            wanted = [row.synthetic, row.train]
        if wanted != written:
            yield CardFault(
                file=name, section=row.cell.name, expected=f"the counts {wanted}",
                found=repr(line),
            )  # fmt: skip


def _companions(real: Path, synthetic: Path) -> Iterator[CardFault]:
    """Yield where a card tells other numbers of the other dataset than that one holds."""
    for folder, other in ((real, synthetic), (synthetic, real)):
        told, held = read_record(folder).companion, companion_of(open_dataset(other))
        if told != held:
            yield CardFault(
                file=f"{folder.name}/reports/release.json", section="companion",
                expected=f"{held.rows} rows, {held.fingerprint}",
                found=f"{told.rows} rows, {told.fingerprint}",
            )  # fmt: skip
