from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curation.cells import SCHEMA
from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.leaks.own_text import own_text
from curation.deidentify.vault import open_vault, record_identifiers
from curation.vocabulary import LABELS
from tests.deidentify.leaks_planted import jpeg, png_text

FAMILIES = ("Smith Jones Brown Wilson Wright Young King Lee Black Stone Field Page Case Cell Long "
            "Short Little Grant May March Bell Cook Baker Fisher Banks Lake Hill Garcia Lopez "
            "Müller Schmidt Weber Becker Hoffmann Koch Bauer Klein Wolf Braun Stein Vogel Wu Li "
            "Ng Kim Park Wang Singh Khan Ali")  # fmt: skip
GIVEN = "Anna Maria Peter Paul Hans John James Mark Max Will Grace Rose Joy Hope Eve Art Bill Jan"


def made_identifiers(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """Yield identifiers of the usual shapes."""
    rng = random.Random(seed)
    families, given = FAMILIES.split(), GIVEN.split()
    for _ in range(0, count, 8):
        born = date(1925, 1, 1) + timedelta(rng.randrange(36_000))
        seen = date(2019, 1, 1) + timedelta(rng.randrange(2500))
        yield "column PatientName", f"{rng.choice(families)}^{rng.choice(given)}"
        yield "subject", f"{rng.choice(families)}, {rng.choice(given)}"
        yield "column mrn", str(rng.randrange(10**7, 10**8))
        yield "column case", str(rng.randrange(10**5, 10**6))
        yield "column birth_date", born.isoformat()
        yield "column acquired", f"{seen:%d.%m.%Y}"
        yield "slide", f"{rng.choice(['S', 'SL', 'H'])}{rng.randrange(10**5):05d}-A"
        stem = rng.choice(["lymphocyte_{}", "IMG_{:04d}", "BA_{}", "image{}", "cell_{}", "{}"])
        yield "file", stem.format(rng.randrange(10**4))


def picture_of_noise(rng: random.Random) -> bytes:
    """Return a PNG of 60 kB."""
    out = io.BytesIO()
    Image.frombytes("RGB", (200, 100), rng.randbytes(60_000)).save(out, "PNG")
    return out.getvalue()


def write_clean(folder: Path, seed: int) -> Path:
    """Write what a release of cells holds: shards, a card, a report, numbers, checksums."""
    rng = random.Random(seed)
    (folder / "data").mkdir(parents=True)
    cells = [
        {"image": {"bytes": jpeg(n), "path": None}, "image_id": rng.randbytes(16).hex(),
         "label": rng.randrange(20), "subject": rng.randbytes(8).hex(), "origin": "real",
         "slide": rng.randbytes(8).hex(), "source": "drawn cells", "license": "cc0-1.0"}
        for n in range(200)
    ]  # fmt: skip
    table = pa.Table.from_pylist(cells, schema=SCHEMA)
    pq.write_table(table, folder / "data" / "train-00000-of-00001.parquet", compression="zstd")
    counts = {label: rng.randrange(6000) for label in LABELS}
    sizes = {"bytes": rng.randrange(10**8), "sha256": rng.randbytes(32).hex(), "rows": 200}
    values = [{"name": label, "value": rng.random(), "n": rng.randrange(10**5)} for label in LABELS]
    manifest = {"classes": counts, "shards": [sizes] * 3, "measurements": values * 10}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rows = "".join(f"<tr><td>{label}</td><td>{n}</td></tr>" for label, n in counts.items())
    points = " ".join(f"{rng.uniform(0, 900):.2f},{rng.uniform(0, 500):.3f}" for _ in range(2000))
    figure = base64.b64encode(picture_of_noise(rng))
    (folder / "report.html").write_text(
        f"<html><style>.a {{ color: #1f77b4; width: 600px }}</style><h1>Report</h1><table>{rows}"
        f'</table><svg><path d="M {points}"/></svg><p>KID 0.031 ± 0.002 (n&nbsp;= 2,048)</p>'
        f'<img src="data:image/png;base64,{figure.decode()}"></html>'
    )
    (folder / "README.md").write_text(own_text(), encoding="utf-8")
    lines = [f"{rng.randbytes(32).hex()}  data/train-{n:05d}-of-00099.parquet" for n in range(99)]
    (folder / "checksums.txt").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.e2e)])
def test_five_thousand_identifiers_in_a_clean_release(tmp_path: Path, seed: int) -> None:
    vault = open_vault(tmp_path / "vault")
    record_identifiers(vault, made_identifiers(5_000, seed))
    folder = write_clean(tmp_path / "clean", seed)
    found = scan_for_leaks(folder, vault)
    assert (found.hits, found.not_searched) == ((), ())
    assert found.searched > 3_500
    # Each of them is found once it is there, in the same folder.
    for number, (kind, value) in enumerate(made_identifiers(8, seed)):
        if kind in ("column case", "file"):
            continue
        data = png_text(f"by {value}".encode(), packed=True, international=True)
        (folder / f"{number}.png").write_bytes(data)
    hits = {(hit.file, hit.kind) for hit in scan_for_leaks(folder, vault).hits}
    assert {file for file, _ in hits} == {f"{number}.png" for number in (0, 1, 2, 4, 5, 6)}


def test_the_own_text_invents_no_patients() -> None:
    words = own_text()
    assert "synthetic" in words
    for invented in ("Schmidt", "Anna", "48213075", "Casimir", "mayo"):
        assert invented not in words
