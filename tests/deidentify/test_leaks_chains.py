from __future__ import annotations

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import quopri
import re
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable
from datetime import date
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from curation.deidentify.leaks import scan_for_leaks
from curation.deidentify.vault import Vault, open_vault, record_identifiers
from tests.deidentify.leaks_planted import CARRIERS, Carrier, hidden_in

Code = Callable[[bytes], bytes]


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner", data)
    return out.getvalue()


def as_text(code: Callable[[str], str]) -> Code:
    """Make a code of text one of bytes; bytes that are no text stay as they are."""

    def coded(data: bytes) -> bytes:
        try:
            return code(data.decode()).encode()
        except UnicodeDecodeError:
            return data

    return coded


CODES: dict[str, Code] = {
    "base64": base64.b64encode,
    "base64 lines": base64.encodebytes,
    "base64 url": base64.urlsafe_b64encode,
    "base32": base64.b32encode,
    "hex": lambda data: data.hex().encode(),
    "hex spaced": lambda data: data.hex(" ").upper().encode(),
    "percent": lambda data: "".join(f"%{byte:02x}" for byte in data).encode(),
    "quoted": as_text(lambda text: quote(text)),
    "quoted-printable": lambda data: quopri.encodestring(data, quotetabs=True),
    "json": as_text(lambda text: json.dumps(text)),
    "html": as_text(html.escape),
    "decimal": as_text(lambda text: "".join(f"&#{ord(c)};" for c in text)),
    "xml": as_text(lambda text: text.encode("ascii", "xmlcharrefreplace").decode()),
    "utf-16": as_text(lambda text: text.encode("utf-16-le").decode("utf-16-le")),
    "upper": as_text(str.upper),
    "lower": as_text(str.lower),
    "NFD": as_text(lambda text: unicodedata.normalize("NFD", text)),
    "NFC": as_text(lambda text: unicodedata.normalize("NFC", text)),
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
    "zip": zipped,
    "noise": hidden_in,
}
BINARY = ("gzip", "zlib", "bz2", "xz", "zstd", "zip", "noise")
CASED = ("upper", "lower")
TEXTS = [carrier for carrier in CARRIERS if carrier.name not in (
    "base64 in a path", "docx", "svg", "png tEXt", "png zTXt", "pdf", "tar name", "tar group",
    "zip name", "parquet image text", "data uri", "partly percent", "jpeg split XMP",
    "quoted-printable", "base64 url", "parquet image path")]  # fmt: skip
ANYTHING = [
    carrier
    for carrier in CARRIERS
    if carrier.name
    in (
        "noise",
        "gzip inside",
        "zlib inside",
        "zip",
        "zip in zip",
        "tar member",
        "png unknown",
        "png after",
        "jpeg COM",
        "jpeg after",
        "parquet bytes",
        "parquet image",
        "base64",
        "hex",
    )
]

FAMILIES = st.sampled_from(
    ["Quillfeather", "Roth-Meyer", "Großmann", "Øksendal", "O'Hallorahan", "Müller-Lüdenscheidt",
     "Žižkovská", "Kowalczyk", "Παπαδόπουλος", "Щербакова", "山本王小明"]
)  # fmt: skip
GIVEN = st.sampled_from(["Adalbert", "Brunhild", "Casimir", "Dorothea", "Zoë"])
NAMES = st.builds(
    lambda family, given: ("column PatientName", f"{family}^{given}"), FAMILIES, GIVEN
)
NUMBERS = st.builds(lambda n: ("column mrn", f"{n:09d}"), st.integers(10**7, 10**9 - 1))
CODED = st.builds(lambda a, n: ("slide", f"{a}-{n:06d}"), st.sampled_from(["MRN", "Q24", "HX"]),
                  st.integers(10**5, 10**6 - 1))  # fmt: skip
DAYS = st.builds(
    lambda day: ("column birth", day.isoformat()), st.dates(date(1920, 1, 1), date(2024, 1, 1))
)
_PLAIN_DAY = re.compile(r"\d{4}([-/]?)\d\d\1\d\d|\d\d([-./]?)\d\d\2\d{4}")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September",
          "October", "November", "December")  # fmt: skip


def spellings(kind: str, value: str) -> list[str]:
    """Return other ways to write an identifier."""
    if "Name" in kind:
        family, given = value.split("^")
        return [value, f"{given} {family}", f"{family}, {given}", f"{given}_{family}",
                f"{family}{given}", f"{given}.{family}", f"{given[0]}. {family}"]  # fmt: skip
    if kind == "column mrn":
        groups = " ".join((value[:3], value[3:6], value[6:]))
        return [value, value.lstrip("0"), groups, groups.replace(" ", "-"), f"MRN{value}"]
    if kind == "slide":
        return [value, value.replace("-", ""), value.replace("-", "_"), value.replace("-", " ")]
    day = date.fromisoformat(value)
    month = MONTHS[day.month - 1]
    return [value, f"{day:%d.%m.%Y}", f"{day:%m/%d/%Y}", f"{day:%d/%m/%Y}", f"{day:%Y%m%d}",
            f"{day.day} {month[:3]} {day.year}", f"{month} {day.day}, {day.year}",
            f"{day.day}.{day.month}.{day.year}", f"{day:%d%m%Y}", f"{day:%Y/%m/%d}",
            f"{day:%d-%m-%y}", f"{day:%Y-%d-%m}"]  # fmt: skip


@st.composite
def plantings(draw: st.DrawFn) -> tuple[str, str, Carrier, list[str], bytes]:
    """Draw an identifier, a way to write it, codes one around the other, and a carrier."""
    kind, value = draw(st.one_of(NAMES, NUMBERS, CODED, DAYS))
    written = draw(st.sampled_from(spellings(kind, value)))
    chain = draw(st.lists(st.sampled_from(sorted(CODES)), max_size=2))
    data = written.encode()
    for position, name in enumerate(chain):
        # Case is part of what base64 says.
        if name in CASED and position > 0:
            continue
        data = CODES[name](data)
    is_text = not any(name in BINARY for name in chain)
    carrier = draw(st.sampled_from(TEXTS if is_text else ANYTHING))
    # A year of two digits, or a month's name, is too little to be told from noise.
    in_noise = "noise" in chain or carrier.name in ("noise", "tar member", "tar.gz")
    plain = _PLAIN_DAY.fullmatch(written) is not None
    assume(not in_noise or kind != "column birth" or plain)
    return kind, value, carrier, chain, data


def found(kind: str, value: str, carrier: Carrier, data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vault: Vault = open_vault(folder / "vault")
        record_identifiers(vault, [(kind, value), ("column note", "nothing like it")])
        (folder / "published").mkdir()
        (folder / "published" / carrier.file).write_bytes(carrier.plant(data))
        scan = scan_for_leaks(folder / "published", vault)
        return any(hit.kind == kind for hit in scan.hits)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plantings())
def test_found_however_it_is_written(planting: tuple[str, str, Carrier, list[str], bytes]) -> None:
    kind, value, carrier, chain, data = planting
    if carrier.name.startswith(("jpeg", "parquet image")) and len(data) > 60_000:
        return  # too long for a segment
    assert found(kind, value, carrier, data), (value, carrier.name, chain)
