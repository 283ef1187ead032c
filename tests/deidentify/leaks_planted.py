"""Every carrier that the leak scan opens, each as a function that plants a secret in it."""

from __future__ import annotations

import base64
import bz2
import gzip
import html
import io
import json
import lzma
import quopri
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, PngImagePlugin, TiffImagePlugin

from curation.cells import SCHEMA

NOISE = np.random.default_rng(7).integers(0, 256, 40_000, dtype=np.uint8).tobytes()


@dataclass(frozen=True)
class Carrier:
    """A file that holds a secret, and what a hit in it must name."""

    name: str
    file: str
    plant: Callable[[bytes], bytes]
    says: str


def picture(seed: int) -> Image.Image:
    """Draw smooth colours, uint8 (24, 24, 3)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((24, 24), Image.Resampling.BICUBIC)


def jpeg(seed: int = 2) -> bytes:
    out = io.BytesIO()
    picture(seed).save(out, "JPEG", quality=88)
    return out.getvalue()


def png(**options: object) -> bytes:
    out = io.BytesIO()
    picture(1).save(out, "PNG", **options)
    return out.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body
    chunk += struct.pack(">I", zlib.crc32(kind + body))
    whole = png()
    return whole[:33] + chunk + whole[33:]


def png_text(secret: bytes, *, packed: bool, international: bool) -> bytes:
    info = PngImagePlugin.PngInfo()
    if international:
        info.add_itxt("Note", secret.decode(), zip=packed)
    else:
        info.add_text("Note", secret.decode("latin-1"), zip=packed)
    return png(pnginfo=info)


def png_behind_pixels(secret: bytes) -> bytes:
    whole = png()
    start = whole.index(b"IDAT") + 4
    length = int.from_bytes(whole[start - 8 : start - 4])
    rows = zlib.decompress(whole[start : start + length]) + secret
    body = zlib.compress(rows)
    chunk = struct.pack(">I", len(body)) + b"IDAT" + body + struct.pack(">I", 0)
    return whole[: start - 8] + chunk + whole[start + length + 4 :]


def jpeg_segment(marker: int, body: bytes) -> bytes:
    whole = jpeg(2)
    return whole[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + whole[2:]


def jpeg_exif(secret: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x9286] = b"ASCII\0\0\0" + secret
    return jpeg_segment(0xE1, b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0"))


def jpeg_split(secret: bytes) -> bytes:
    """Plant a secret over the seam of two segments of extended XMP."""
    signature, half = b"http://ns.adobe.com/xmp/extension/\0", len(secret) // 2
    parts = (b"<x>" + secret[:half], secret[half:] + b"</x>")
    whole = jpeg(2)
    for part in reversed(parts):
        body = signature + b"g" * 32 + bytes(8) + part
        whole = whole[:2] + struct.pack(">BBH", 0xFF, 0xE1, len(body) + 2) + body + whole[2:]
    return whole


def gif_comment(secret: bytes) -> bytes:
    out = io.BytesIO()
    # So long that it goes over the seam of two blocks of 255 bytes.
    picture(2).convert("P").save(out, "GIF", comment=b"x" * 250 + b" " + secret)
    return out.getvalue()


def tiff_tag(secret: bytes) -> bytes:
    out = io.BytesIO()
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[65000] = 7
    tags[65000] = secret
    picture(2).save(out, "TIFF", tiffinfo=tags)
    return out.getvalue()


def webp_exif(secret: bytes) -> bytes:
    exif = Image.Exif()
    exif[0x9286] = b"ASCII\0\0\0" + secret
    out = io.BytesIO()
    picture(2).save(out, "WEBP", exif=exif)
    return out.getvalue()


def zipped(secret: bytes, name: str = "a.txt", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        archive.writestr(name, secret)
    return out.getvalue()


def zip_comment(secret: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.txt", "nothing")
        archive.comment = secret
    return out.getvalue()


def zip_without_directory(secret: bytes) -> bytes:
    whole = zipped(b"seen by " + secret)
    return whole[: whole.index(b"PK\x01\x02")]


def excel(secret: bytes) -> bytes:
    book = openpyxl.Workbook()
    book.create_sheet()["B3"] = f"by {secret.decode()}"
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def docx(secret: bytes) -> bytes:
    """Write a name as a word processor does that has checked the spelling of half of it."""
    text = secret.decode()
    runs = f"<w:p><w:r><w:t>{text[:3]}</w:t></w:r><w:r><w:t>{text[3:]}</w:t></w:r></w:p>"
    return zipped(runs.encode(), "word/document.xml")


def npz(secret: bytes) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, names=np.array([secret.decode()]))
    return out.getvalue()


def tar(secret: bytes, where: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        member = tarfile.TarInfo("a.txt")
        body = b"nothing"
        if where == "body":
            body = NOISE + b"\n" + secret
        elif where == "name":
            member.name = secret.decode()
        else:
            member.gname = secret.decode()
        member.size = len(body)
        archive.addfile(member, io.BytesIO(body))
    return out.getvalue()


def pdf(secret: bytes) -> bytes:
    page = zlib.compress(b"BT /F1 12 Tf [(" + secret[:3] + b") -20 (" + secret[3:] + b")] TJ ET")
    head = b"%PDF-1.7\n1 0 obj << /Length " + str(len(page)).encode() + b" /Filter /FlateDecode >>"
    return head + b" stream\n" + page + b"\nendstream endobj\n%%EOF"


def safetensors(secret: bytes) -> bytes:
    header = json.dumps({"__metadata__": {"by": secret.decode()}}).encode()
    return struct.pack("<Q", len(header)) + header + NOISE


ROW = {"image_id": "ab" * 16, "label": 4, "origin": "real"}


def parquet(table: pa.Table, **options: object) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **{"compression": "zstd", **options})
    return out.getvalue()


def rows(image: bytes | None = None, path: str | None = None, **columns: object) -> pa.Table:
    cell = {"bytes": image or jpeg(3), "path": path}
    table = pa.Table.from_pylist([{**ROW, "image": cell}] * 3, schema=SCHEMA)
    for name, values in columns.items():
        if name in table.column_names:
            table = table.drop([name])
        table = table.append_column(name, pa.array([values] * 3))
    return table


def parquet_metadata(secret: bytes) -> bytes:
    table = rows()
    return parquet(table.replace_schema_metadata({**table.schema.metadata, b"note": secret}))


def parquet_unused_category(secret: bytes) -> bytes:
    """Write a dictionary column whose rows were filtered, but not its dictionary."""
    codes = pa.DictionaryArray.from_arrays(pa.array([0, 0, 0]), [secret.decode(), "kept"])
    codes = pa.DictionaryArray.from_arrays(pa.array([1, 1, 1]), codes.dictionary)
    return parquet(rows().append_column("ward", codes))


def parquet_field_metadata(secret: bytes) -> bytes:
    table = pa.table(
        {"a": [1]}, schema=pa.schema([pa.field("a", pa.int64(), metadata={"b": secret})])
    )
    return parquet(table)


def arrow(secret: bytes) -> bytes:
    out = io.BytesIO()
    table = pa.table({"note": [secret.decode()]})
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_file(out, table.schema, options=options) as writer:
        writer.write_table(table)
    return out.getvalue()


def page(body: bytes) -> bytes:
    return b"<html><body><h1>Cells</h1>" + body + b"</body></html>"


def data_uri(image: bytes) -> bytes:
    return page(b'<img src="data:image/png;base64,' + base64.b64encode(image) + b'">')


def hidden_in(data: bytes) -> bytes:
    return NOISE[:20_000] + data + NOISE[20_000:]


def s(secret: bytes) -> str:
    return secret.decode()


CARRIERS: tuple[Carrier, ...] = (
    Carrier("text", "notes.txt", lambda x: b"seen by " + x + b".", "content"),
    Carrier("noise", "a.bin", hidden_in, "content"),
    Carrier("utf-16-le", "a.bin", lambda x: hidden_in(f" {s(x)} ".encode("utf-16-le")), "UTF-16"),
    Carrier("utf-16-be", "a.bin", lambda x: hidden_in(f" {s(x)} ".encode("utf-16-be")), "UTF-16"),
    Carrier("utf-16 text", "a.txt", lambda x: f"by {s(x)}.".encode("utf-16"), ""),
    Carrier("utf-32", "a.bin", lambda x: hidden_in(f" {s(x)} ".encode("utf-32-le")), "UTF-32"),
    Carrier("base64", "a.json", lambda x: b'{"a": "' + base64.b64encode(x) + b'"}', "base64"),
    Carrier("base64 shifted 1", "a.json", lambda x: base64.b64encode(b"x " + x), "base64"),
    Carrier("base64 shifted 2", "a.json", lambda x: base64.b64encode(b"x: " + x), "base64"),
    Carrier("base64 in a path", "a.json", lambda x: b"abc/" + base64.b64encode(x), "base64"),
    Carrier("base64 lines", "a.txt", lambda x: base64.encodebytes(b"x" * 50 + b" " + x), "base64"),
    Carrier("base64 url", "a.txt", lambda x: base64.urlsafe_b64encode(b"\xff\xfe?" + x), "base64"),
    Carrier("base32", "a.txt", lambda x: b"key " + base64.b32encode(x), "base32"),
    Carrier("hex", "a.txt", lambda x: b"x=" + x.hex().encode(), "hex"),
    Carrier("hex upper", "a.txt", lambda x: x.hex().upper().encode(), "hex"),
    Carrier("hex spaced", "a.txt", lambda x: x.hex(" ").encode(), "hex"),
    Carrier("hex listed", "a.txt", lambda x: ", ".join(map(hex, x)).encode(), "hex"),
    Carrier("json", "a.json", lambda x: json.dumps([s(x)]).encode(), ""),
    Carrier("backslash", "a.json", lambda x: "".join(f"\\u{ord(c):04x}" for c in s(x)).encode(),
            "backslash"),
    Carrier("backslash x", "a.txt", lambda x: "".join(f"\\x{c:02x}" for c in x).encode(),
            "backslash"),
    Carrier("entities", "a.html", lambda x: page(html.escape(s(x)).encode()), ""),
    Carrier("decimal entities", "a.html", lambda x: "".join(f"&#{ord(c)};" for c in s(x)).encode(),
            "HTML entities"),
    Carrier("hex entities", "a.html", lambda x: "".join(f"&#x{ord(c):X};" for c in s(x)).encode(),
            "HTML entities"),
    Carrier("percent", "a.html", lambda x: "".join(f"%{c:02X}" for c in x).encode(), "percent"),
    Carrier("partly percent", "a.html", lambda x: b"?q=" + quote(x[:2]).encode()
            + f"%{x[2]:02x}".encode() + quote(x[3:]).encode(), "percent"),
    Carrier("quoted-printable", "a.eml", lambda x: b"=".join(
            [b"From: ", *(f"{c:02X}".encode() for c in x)]), "quoted-printable"),
    Carrier("quoted-printable lines", "a.eml", lambda x: quopri.encodestring(b"x" * 70 + b" " + x),
            "quoted-printable"),
    Carrier("svg", "a.svg", lambda x: b"<svg><text>" + x[:2] + b"<tspan>" + x[2:]
            + b"</tspan></text></svg>", "content"),
    Carrier("gzip file", "a.gz", gzip.compress, "gzip stream at byte 0"),
    Carrier("gzip inside", "a.bin", lambda x: hidden_in(gzip.compress(x)),
            "gzip stream at byte 20000"),
    Carrier("zlib inside", "a.bin", lambda x: hidden_in(zlib.compress(x)),
            "zlib stream at byte 20000"),
    Carrier("bz2", "a.bin", lambda x: hidden_in(bz2.compress(x)), "bz2 stream at byte 20000"),
    Carrier("xz", "a.bin", lambda x: hidden_in(lzma.compress(x)), "xz stream at byte 20000"),
    Carrier("zstd", "a.bin", lambda x: hidden_in(pa.compress(x, "zstd", asbytes=True)),
            "zstd stream at byte 20000"),
    Carrier("zip", "a.zip", zipped, "zip member at byte 0"),
    Carrier("zip in zip", "a.zip", lambda x: zipped(zipped(x), "b.zip"),
            "zip member at byte 0 > zip member at byte 0"),
    Carrier("zip name", "a.zip", lambda x: zipped(b"", s(x)), "its name"),
    Carrier("zip comment", "a.zip", zip_comment, "zip comment"),
    Carrier("zip cut off", "a.zip", zip_without_directory, "zip member at byte 0"),
    Carrier("zip bz2", "a.zip", lambda x: zipped(x, method=zipfile.ZIP_BZIP2), "zip member"),
    Carrier("excel", "a.xlsx", excel, "zip member"),
    Carrier("docx", "a.docx", docx, "zip member"),
    Carrier("npz", "a.npz", npz, "zip member at byte 0 > UTF-16 or UTF-32"),
    Carrier("tar member", "a.tar", lambda x: tar(x, "body"), "tar member 0"),
    Carrier("tar name", "a.tar", lambda x: tar(x, "name"), "tar member 0, its header"),
    Carrier("tar group", "a.tar", lambda x: tar(x, "group"), "tar member 0, its header"),
    Carrier("tar.gz", "a.tar.gz", lambda x: gzip.compress(tar(x, "body")), "tar member 0"),
    Carrier("png tEXt", "a.png", lambda x: png_text(x, packed=False, international=False),
            "PNG tEXt chunk"),
    Carrier("png zTXt", "a.png", lambda x: png_text(x, packed=True, international=False),
            "PNG zTXt chunk"),
    Carrier("png iTXt", "a.png", lambda x: png_text(x, packed=False, international=True),
            "PNG iTXt chunk"),
    Carrier("png iTXt packed", "a.png", lambda x: png_text(x, packed=True, international=True),
            "PNG iTXt chunk"),
    Carrier("png iCCP", "a.png", lambda x: png_chunk(b"iCCP", b"icc\0\0" + zlib.compress(x)),
            "PNG iCCP chunk"),
    Carrier("png eXIf", "a.png", lambda x: png_chunk(b"eXIf", tiff_tag(x)),
            "PNG eXIf chunk > TIFF tag 65000"),
    Carrier("png unknown", "a.png", lambda x: png_chunk(b"prIv", x), "PNG unknown chunk"),
    Carrier("png after", "a.png", lambda x: png() + x, "after PNG IEND"),
    Carrier("png behind pixels", "a.png", png_behind_pixels, "behind PNG pixels"),
    Carrier("jpeg COM", "a.jpg", lambda x: jpeg_segment(0xFE, x), "JPEG COM segment"),
    Carrier("jpeg APP13", "a.jpg", lambda x: jpeg_segment(0xED, b"Photoshop 3.0\x008BIM\4\4" + x),
            "JPEG APP13 segment"),
    Carrier("jpeg Exif", "a.jpg", jpeg_exif, "JPEG APP1 segment > TIFF tag"),
    Carrier("jpeg split XMP", "a.jpg", jpeg_split, "JPEG segments, joined"),
    Carrier("jpeg thumbnail", "a.jpg", lambda x: jpeg_segment(0xEF, jpeg_segment(0xFE, x)),
            "JPEG APP15 segment > JPEG COM segment"),
    Carrier("jpeg after", "a.jpg", lambda x: jpeg(2) + x, "after JPEG EOI"),
    Carrier("gif", "a.gif", gif_comment, "GIF comment"),
    Carrier("tiff", "a.tif", tiff_tag, "TIFF tag 65000"),
    Carrier("webp", "a.webp", webp_exif, "WebP EXIF chunk > TIFF tag 37510"),
    Carrier("pdf", "a.pdf", pdf, "zlib stream"),
    Carrier("data uri", "report.html", lambda x: data_uri(png_text(x, packed=True,
            international=False)), "base64 > PNG zTXt chunk"),
    Carrier("safetensors", "a.safetensors", safetensors, "safetensors header"),
    Carrier("arrow", "a.arrow", arrow, "Arrow column note"),
    Carrier("parquet column", "a.parquet", lambda x: parquet(rows(source=s(x))),
            "Parquet column source"),
    Carrier("parquet sentence", "a.parquet", lambda x: parquet(rows(source=f"by {s(x)}, 2")),
            "Parquet column source"),
    Carrier("parquet list", "a.parquet", lambda x: parquet(rows(notes=[s(x), "b"])),
            "Parquet column notes"),
    Carrier("parquet map", "a.parquet", lambda x: parquet(pa.table({"m": pa.array(
            [[("k", s(x))]], pa.map_(pa.string(), pa.string()))})), "Parquet column m"),
    Carrier("parquet base64", "a.parquet", lambda x: parquet(rows(source=s(base64.b64encode(x)))),
            "Parquet column source > base64"),
    Carrier("parquet bytes", "a.parquet", lambda x: parquet(rows(blob=b"\xff\0" + x)),
            "Parquet column blob"),
    Carrier("parquet image path", "a.parquet", lambda x: parquet(rows(path=f"{s(x)}.jpg")),
            "Parquet column image.path"),
    Carrier("parquet image", "a.parquet", lambda x: parquet(rows(jpeg_segment(0xFE, x))),
            "Parquet column image.bytes > JPEG COM segment"),
    Carrier("parquet image text", "a.parquet", lambda x: parquet(rows(png_text(x, packed=True,
            international=False))), "Parquet column image.bytes > PNG zTXt chunk"),
    Carrier("parquet metadata", "a.parquet", parquet_metadata, "Parquet key-value metadata"),
    Carrier("parquet field", "a.parquet", parquet_field_metadata, "Parquet schema metadata"),
    Carrier("parquet unused", "a.parquet", parquet_unused_category, "Parquet column ward"),
    Carrier("parquet in zip", "a.zip", lambda x: zipped(parquet(rows(source=s(x))), "b.parquet"),
            "zip member at byte 0 > Parquet column source"),
)  # fmt: skip
