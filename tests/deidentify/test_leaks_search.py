from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.deidentify.leaks import Scan, scan_for_leaks
from curation.deidentify.leaks.chance import likely_by_chance, shortest_in_noise
from curation.deidentify.leaks.days import days_in
from curation.deidentify.leaks.names import names_a_person
from curation.deidentify.leaks.normal import key, normal
from curation.deidentify.leaks.numbers import numbers_in
from curation.deidentify.leaks.strings import strings_in
from curation.deidentify.leaks.words import looks_coded
from curation.deidentify.vault import open_vault, record_identifiers

PERSON = "column PatientName"


def scanned(folder: Path, known: list[tuple[str, str]], text: str, name: str = "a.txt") -> Scan:
    vault = open_vault(folder / "vault")
    record_identifiers(vault, known)
    (folder / "published").mkdir(exist_ok=True)
    (folder / "published" / name).write_text(text, encoding="utf-8")
    return scan_for_leaks(folder / "published", vault)


@pytest.mark.parametrize(
    "written",
    ["Adalbert Quillfeather", "Quillfeather, Adalbert", "QUILLFEATHER^ADALBERT^^DR",
     "adalbert_quillfeather", "AdalbertQuillfeather", "A. Quillfeather", "Quillfeather A",
     "quill\u00adfeather, adalbert", "Ｑｕｉｌｌｆｅａｔｈｅｒ", "patientQuillfeather7",
     "Dhvyysrngure Nqnyoreg"],
)  # fmt: skip
def test_names(tmp_path: Path, written: str) -> None:
    for known in ("Quillfeather^Adalbert", "Adalbert Quillfeather", "Quillfeather, Adalbert"):
        assert scanned(tmp_path, [(PERSON, known)], f"by {written}.").hits, known


@pytest.mark.parametrize(
    ("known", "written"),
    [("Müller-Lüdenscheidt", "MUELLER LUEDENSCHEIDT"),
     ("Müller-Lüdenscheidt", "Muller-Ludenscheidt"),
     ("Großmann", "GROSSMANN"), ("Øksendal", "Oksendal"), ("Łukaszewicz", "lukaszewicz"),
     ("Žižkovská", "Zizkovska"), ("Yamada^Tarou=山田^太郎", "担当は山田太郎です")],
)  # fmt: skip
def test_names_with_other_letters(tmp_path: Path, known: str, written: str) -> None:
    assert scanned(tmp_path, [(PERSON, known)], f"von {written}.").hits


def test_a_family_name_is_a_hit_in_a_field_and_possible_in_a_sentence(tmp_path: Path) -> None:
    known = [(PERSON, "Acevedo^Roberta")]
    field = scanned(tmp_path, known, '{"operator": "acevedo"}')
    assert (len(field.hits), len(field.possible)) == (1, 0)
    sentence = scanned(tmp_path, known, "The cells were published by Acevedo and others in 2020.")
    assert (len(sentence.hits), len(sentence.possible)) == (0, 1)
    given_name = scanned(tmp_path, known, "by Roberta")
    assert (len(given_name.hits), len(given_name.possible)) == (0, 1)


def test_a_short_name_is_a_hit_where_it_fills_a_field(tmp_path: Path) -> None:
    known = [(PERSON, "Wolf"), (PERSON, "Wu"), ("subject", "Ng, Kim")]
    assert len(scanned(tmp_path, known, '{"by": "Wolf"}').hits) == 1
    sentence = scanned(tmp_path, known, "It is a wolf in the dark; Wu said so.")
    assert (len(sentence.hits), len(sentence.possible)) == (0, 1)
    assert len(scanned(tmp_path, known, '{"by": "Kim Ng"}').hits) == 1


@pytest.mark.parametrize(
    "written", ["48213075", "0048213075", "4821 3075", "4821-3075", "48 21 30 75", "MRN48213075",
                "48213075cells", "id=48213075;", "x_48213075_y", "٤٨٢١٣٠٧٥"],
)  # fmt: skip
@pytest.mark.parametrize("known", ["48213075", "0048213075", "4821-3075"])
def test_numbers(tmp_path: Path, known: str, written: str) -> None:
    assert scanned(tmp_path, [("column mrn", known)], f"see {written} there").hits


@pytest.mark.parametrize(
    "written",
    ["148213075", "482130751", "0.48213075", "ab48213075cd19ef", "4821.3075", "4821, 3075"],
)
def test_other_numbers(tmp_path: Path, written: str) -> None:
    found = scanned(tmp_path, [("column mrn", "48213075")], f"see {written} there")
    assert (found.hits, found.possible) == ((), ())


SPELLED = ["1957-03-12", "12.03.1957", "12.3.1957", "03/12/1957", "12/03/1957", "19570312",
           "12031957",
           "1957/03/12", "1957.03.12", "1957 03 12", "12 Mar 1957", "12MAR1957", "March 12, 1957",
           "12. März 1957", "12 mars 1957", "12 de marzo de 1957", "1957-Mar-12", "12-03-57",
           "57/03/12", "1957-03-12T08:00:00Z", "19570312080000", "12th of March 1957",
           "1957_03_12"]  # fmt: skip


@pytest.mark.parametrize("written", SPELLED)
@pytest.mark.parametrize("known", ["1957-03-12", "12.03.1957", "19570312", "1957-03-12 10:11:12"])
def test_days(tmp_path: Path, known: str, written: str) -> None:
    assert scanned(tmp_path, [("column birth", known)], f"born {written}, here").hits


def test_a_day_in_other_words_is_called_so(tmp_path: Path) -> None:
    known = [("column birth", "1957-03-12")]
    for written, carrier in (("1957-03-12", "content"), ("12.3.1957", "respelled date")):
        assert [hit.carrier for hit in scanned(tmp_path, known, written).hits] == [carrier]


@pytest.mark.parametrize("written", ["20240312", "48213075", "12 March 2024", "4821 3075"])
def test_what_a_file_name_is_made_of(tmp_path: Path, written: str) -> None:
    for stem in ("20240312_48213075_01", "2024-03-12-48213075", "scan20240312x48213075"):
        assert scanned(tmp_path, [("file", stem)], f"see {written}.").hits, stem


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_every_day_is_found_as_iso(day: date) -> None:
    assert day in {found.day for found in days_in(f"x {day.isoformat()} y".encode())}


@pytest.mark.parametrize(
    "text", ["1957-13-32", "12.03.195", "00.00.0000", "1.2.840.10008.1.2", "3/4"]
)
def test_no_days(text: str) -> None:
    assert list(days_in(text.encode())) == []


def test_own_words_are_left_out_and_counted(tmp_path: Path) -> None:
    known = [(PERSON, "Smear^Cell"), (PERSON, "Parquet"), ("column kind", "train"),
             ("column kind", "synthetic"), ("file", "README"), ("slide", "S-71")]  # fmt: skip
    found = scanned(tmp_path, known, "A real smear, for train and synthetic; cell by cell. Parquet")
    assert (found.hits, found.searched) == ((), 1)
    # The name as a whole is still searched for, only its parts are ordinary words here.
    assert len(scanned(tmp_path, known, "by Cell Smear").hits) == 1
    reasons = {(entry.kind, entry.why): entry.count for entry in found.left_out_why}
    assert found.left_out == sum(reasons.values()) == 5
    assert reasons["slide", "too short"] == 1
    assert reasons["column kind", "a word of the product's own texts"] == 2


def test_what_the_maintainer_publishes_is_left_out(tmp_path: Path) -> None:
    known = [("site", "Hospital Nordwest")]
    found = scanned(tmp_path, known, "Cells of the Hospital Nordwest.")
    assert len(found.hits) == 1
    vault = open_vault(tmp_path / "vault")
    again = scan_for_leaks(tmp_path / "published", vault, published=["Hospital Nordwest"])
    assert (again.hits, again.searched, again.left_out) == ((), 0, 1)


def test_numbers_that_chance_explains_are_possible(tmp_path: Path) -> None:
    rng = random.Random(3)
    known = [("column case", str(number)) for number in rng.sample(range(10**5, 10**6), 5000)]
    counts = ", ".join(str(rng.randrange(10**5, 10**6)) for _ in range(300))
    found = scanned(tmp_path, known, f'{{"bytes": [{counts}]}}')
    assert found.hits == ()
    assert 0 < len(found.possible) < 10
    # Fifty of them are no chance any more.
    leaked = counts + ", " + ", ".join(value for _, value in known[:50])
    assert len(scanned(tmp_path, known, f'{{"bytes": [{leaked}]}}').hits) >= 50


def test_days_that_were_moved_are_possible(tmp_path: Path) -> None:
    rng = random.Random(4)
    days = [date(2020, 1, 1) + timedelta(rng.randrange(1500)) for _ in range(600)]
    known = [("column acquired", day.isoformat()) for day in days]
    moved = [(day + timedelta(rng.choice((-1, 1)) * rng.randrange(1, 365))) for day in days]
    found = scanned(tmp_path, known, "\n".join(day.isoformat() for day in moved[:200]))
    assert found.hits == ()
    assert found.possible
    found = scanned(tmp_path, known, "\n".join(day.isoformat() for day in days[:200]))
    assert len(found.hits) > 100


def test_what_is_too_short_for_noise_is_counted(tmp_path: Path) -> None:
    vault = open_vault(tmp_path / "vault")
    numbers = [("column mrn", f"{number:010d}") for number in range(10**9, 10**9 + 2000)]
    record_identifiers(vault, [("slide", "QX-71A"), *numbers])
    (tmp_path / "a.bin").write_bytes(random.Random(0).randbytes(2**21) + b"QX-71A")
    found = scan_for_leaks(tmp_path / "a.bin", vault)
    assert found.hits == ()
    assert [(entry.kind, entry.count) for entry in found.text_only] == [("slide", 1)]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("subject", True), ("column PatientName", True), ("column operator", True), ("name", True),
     ("column referring_physician", True), ("slide", False), ("file", False), ("column mrn", False),
     ("column StudyDate", False), ("column institution_name", False), ("column file_name", False)],
)  # fmt: skip
def test_which_kinds_are_names(kind: str, expected: bool) -> None:
    assert names_a_person(kind) is expected


def test_coded_runs_and_words() -> None:
    rng = random.Random(0)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    for _ in range(200):
        assert looks_coded("".join(rng.choices(letters, k=64)).encode())
    for words in ("/export/haematology/2024/Becker/smear_0001", "the_quick_brown_fox_jumps_over",
                  "NeutrophilSegmentedCells", "2024-03-12_48213075_slide-07"):  # fmt: skip
        assert not looks_coded(words.encode()), words


@given(st.text(max_size=40))
def test_the_normal_form_is_stable(text: str) -> None:
    once = normal(text)
    assert normal(once.decode()) == once
    assert key(text.upper()) == key(text.upper().lower())


@given(st.binary(max_size=200), st.binary(max_size=200), st.sampled_from(
    ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]))  # fmt: skip
def test_strings_are_found_wherever_they_stand(before: bytes, after: bytes, encoding: str) -> None:
    found = strings_in(before + "Quillfe".encode(encoding) + after, 7, 20)
    assert b"Quillfe" in found.short + b"|" + found.text or "Quillfe" in found.wide


def test_how_long_a_find_in_noise_must_be() -> None:
    # Of all strings of n digits in random bytes, one of 1e4 stands by chance at each of 2e8 places
    # with likelihood 1e4 / 256**n.
    assert shortest_in_noise(2 * 10**8, 10**4, 1 / 256) == 7
    assert shortest_in_noise(2 * 10**8, 10**4, 2 / 256) == 8
    assert shortest_in_noise(10**4, 10, 1 / 256) == 5


@pytest.mark.parametrize(
    ("found", "expected", "by_chance"),
    [(1, 0.001, False), (1, 0.1, True), (3, 1.0, True), (10, 1.0, False), (60, 60.0, True),
     (100, 60.0, False)],
)  # fmt: skip
def test_what_chance_explains(found: int, expected: float, by_chance: bool) -> None:
    assert likely_by_chance(found, expected) is by_chance


def test_groups_of_digits() -> None:
    assert {n.digits for n in numbers_in(b"12 345 678; 0.123456 1.5")} >= {b"12345678", b"345678"}
    assert not any(n.digits == b"123456" for n in numbers_in(b"0.123456"))
