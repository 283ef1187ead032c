"""Damaged DICOM files through everything that reads them: no crash, no hang, no leak.

    python scripts/fuzz_dicom.py --inputs 100000 --seed 0

A run that was stopped goes on with `--first N`.

Each input is a made file, or one that comes with pydicom, with bytes changed, cut off, doubled,
moved or added. Its header is read, its data set cleaned, its frames decoded and written anew.
Only named errors are let through; whatever else happens is counted and its number printed, with
which `--only N` makes the same input again.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID

from curation.deidentify.dicom.clean import deidentify_dataset
from curation.deidentify.dicom.frames import open_frames, read_frames
from curation.deidentify.dicom.header import read_header
from curation.deidentify.dicom.identifiers import identifiers
from curation.deidentify.dicom.new_pixels import describe_pixels, write_pixels
from curation.deidentify.dicom.read import open_dicom, quietly
from curation.deidentify.dicom.srgb import srgb_profile
from curation.deidentify.jpeg import clean_jpeg
from curation.deidentify.vault import Vault
from curation.errors import ImageError
from curation.pixels import Limits

CANARY = b"CanaryQ7"
LIMITS = Limits(min_side_px=1, max_pixels=4_000_000)
VAULT = Vault(Path("unused"), bytes(range(32)))
_SECONDS = 10.0  # of the processor: on a busy machine an input waits its turn
_WAITED_SECONDS = 300.0  # by the clock: for what sleeps and never ends
_MEMORY_BYTES = 6 * 2**30
_MOST_SEED_BYTES = 300_000
_SIDE = 16
_MADE = 15

_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.2"
_IMPLICIT, _EXPLICIT, _DEFLATED, _BIG = (
    f"1.2.840.10008.1.2{end}" for end in ("", ".1", ".1.99", ".2")
)
_BASELINE, _JPEG_LS, _J2K, _RLE = (
    f"1.2.840.10008.1.2{end}" for end in (".4.50", ".4.80", ".4.90", ".5")
)


class HangError(BaseException):
    """An input took longer than it may; no handler of exceptions may catch it."""


def made_seeds() -> Iterator[bytes]:
    """Yield files in every transfer syntax that is decoded, with the canary in every carrier."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, _SIDE, _SIDE, 3), dtype=np.uint8)
    grey = pixels[..., 0].astype(np.uint16) * 16
    for syntax in (_IMPLICIT, _EXPLICIT, _BIG, _DEFLATED):
        yield made_file(syntax, pixels.tobytes(), "RGB")
        order = ">" if syntax == _BIG else "<"
        yield made_file(syntax, grey.astype(f"{order}u2").tobytes(), "MONOCHROME1", bits=12)
    yield made_file(_EXPLICIT, pixels[..., :2].tobytes(), "YBR_FULL_422")
    yield made_file(_EXPLICIT, pixels[..., 0].tobytes(), "PALETTE COLOR")
    jpeg = [_jpeg(frame) for frame in pixels]
    yield made_file(_BASELINE, encapsulate(jpeg), "YBR_FULL_422")
    yield made_file(_BASELINE, encapsulate(jpeg, has_bot=False, fragments_per_frame=2), "RGB")
    yield made_file(
        _JPEG_LS, encapsulate([bytes(imagecodecs.jpegls_encode(f)) for f in pixels]), "RGB"
    )
    yield made_file(
        _J2K, encapsulate([bytes(imagecodecs.jpeg2k_encode(f, codecformat="J2K")) for f in pixels]),
        "YBR_RCT",
    )  # fmt: skip
    yield made_file(_RLE, encapsulate([_rle(f) for f in pixels]), "RGB")


def installed_seeds() -> Iterator[bytes]:
    """Yield the small files that come with pydicom."""
    for name in sorted(get_testdata_files()):
        path = Path(name)
        if path.is_file() and path.stat().st_size <= _MOST_SEED_BYTES:
            yield path.read_bytes()


def made_file(syntax: str, value: bytes, photometric: str, bits: int = 8) -> bytes:
    """Return a file of two frames of 16x16 px with a header full of canaries."""
    dataset = _header(photometric, bits)
    uid = UID(syntax)
    dataset.add_new(0x7FE00010, "OB" if bits == 8 else "OW", value + CANARY)
    dataset["PixelData"].is_undefined_length = uid.is_encapsulated
    if uid.is_encapsulated:
        dataset.PixelData = value
    dataset.add_new(0xFFFCFFFC, "OB", CANARY)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(_CLASS), UID("1.2.3")
    meta.TransferSyntaxUID, meta.ImplementationClassUID = uid, UID("1.2.3.4")
    meta.SourceApplicationEntityTitle = CANARY.decode()
    dataset.file_meta, dataset.preamble = meta, CANARY * 16
    out = io.BytesIO()
    dcmwrite(out, dataset, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian)
    return out.getvalue()


def _header(photometric: str, bits: int) -> Dataset:
    text, dataset = CANARY.decode(), Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = _CLASS, "1.2.3"
    dataset.Modality, dataset.ImageType = "SM", ["ORIGINAL", "PRIMARY", text.upper()]
    dataset.PatientName, dataset.PatientID = f"{text}^Ann", text
    dataset.StudyDate, dataset.PatientAge, dataset.PatientSex = "20210304", "045Y", "F"
    dataset.StudyDescription = dataset.ImageComments = dataset.Manufacturer = text
    dataset.PixelSpacing = ["0.00025", "0.00025"]
    dataset.Rows = dataset.Columns = _SIDE
    dataset.SamplesPerPixel = 1 if photometric[0] in "MP" else 3
    dataset.PhotometricInterpretation, dataset.PlanarConfiguration = photometric, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = (bits + 7) // 8 * 8, bits, bits - 1
    dataset.PixelRepresentation, dataset.NumberOfFrames = 0, 2
    dataset.BurnedInAnnotation = "NO"
    dataset.ICCProfile = _profile(is_swapped=bits == 8 and photometric == "YBR_RCT")
    for number in range(3):
        dataset.add_new(0x00281101 + number, "US", [256, 0, 8])
        dataset.add_new(0x00281201 + number, "OW", bytes(range(256)))
    _nest(dataset, text)
    block = dataset.private_block(0x0009, text, create=True)
    block.add_new(1, "UN", CANARY)
    dataset.add_new(0x60003000, "OW", CANARY)
    dataset.add_new(0x50003000, "OW", CANARY)
    return dataset


def _nest(dataset: Dataset, text: str) -> None:
    stain, step, specimen = Dataset(), Dataset(), Dataset()
    stain.CodeValue, stain.CodingSchemeDesignator, stain.CodeMeaning = "12710003", "SCT", text
    step.ValueType, step.TextValue = "TEXT", text
    step.ConceptCodeSequence = Items([stain])
    preparation = Dataset()
    preparation.SpecimenPreparationStepContentItemSequence = Items([step])
    specimen.SpecimenIdentifier, specimen.SpecimenUID = text, "1.2.3.9"
    specimen.SpecimenPreparationSequence = Items([preparation, preparation])
    dataset.SpecimenDescriptionSequence = Items([specimen])
    dataset["SpecimenDescriptionSequence"].is_undefined_length = True


def _profile(*, is_swapped: bool) -> bytes:
    """Return a profile with the canary in it; a swapped one takes red for green."""
    data = srgb_profile()
    if is_swapped:
        data = data.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    return data + CANARY


def _jpeg(frame: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(frame).save(out, "JPEG", comment=CANARY)
    return out.getvalue()


def _rle(frame: np.ndarray) -> bytes:
    planes = [_rle_segment(frame[..., n].tobytes()) for n in range(3)]
    starts = [64 + sum(map(len, planes[:n])) for n in range(3)]
    return struct.pack("<16I", 3, *starts, *[0] * 12) + b"".join(planes)


def _rle_segment(data: bytes) -> bytes:
    runs = [data[n : n + 128] for n in range(0, len(data), 128)]
    coded = b"".join(bytes([len(run) - 1]) + run for run in runs)
    return coded + bytes(len(coded) % 2)


def flipped(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Change a few bytes anywhere."""
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        data[rng.randrange(len(data))] = rng.randrange(256)


def cut_off(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Truncate the file."""
    del data[rng.randrange(1, len(data)) :]


def lying(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Write a length that is not so behind something that looks like a VR."""
    vrs = (b"SQ\x00\x00", b"OB\x00\x00", b"UN\x00\x00", b"OW\x00\x00", b"LO", b"US", b"IS", b"PN")
    at = data.find(rng.choice(vrs), rng.randrange(len(data)))
    if at < 0:
        at = rng.randrange(max(len(data) - 8, 1))
    lie = rng.choice((0, 1, 7, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF))
    data[at + 4 : at + 8] = struct.pack("<I", lie)


def spliced(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Put a part of another file in place of a part."""
    other = rng.choice(seeds)
    start, size = rng.randrange(len(other)), rng.randrange(1, 400)
    at = rng.randrange(len(data))
    data[at : at + rng.choice((0, size))] = other[start : start + size]


def doubled(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Repeat a part many times."""
    start, size = rng.randrange(len(data)), rng.randrange(1, 200)
    data[start:start] = data[start : start + size] * rng.choice((1, 2, 50))


def planted(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Add an element with the canary before a well-known one."""
    value = CANARY * rng.choice((1, 1, 30))
    tag = struct.pack("<HH", rng.choice((8, 0x10, 0x18, 0x28, 0x40, 9, rng.randrange(65536))),
                      rng.randrange(65536))  # fmt: skip
    vr = rng.choice((b"LO", b"PN", b"CS", b"UI", b"DA", b"SH", b"DS", b"ZZ"))
    element = tag + vr + struct.pack("<H", len(value)) + value
    if rng.random() < 0.3:
        element = tag + b"UT\x00\x00" + struct.pack("<I", len(value)) + value
    marks = (b"\x10\x00\x10\x00", b"\x28\x00\x02\x00", b"\x40\x00\x60\x05", b"\xe0\x7f\x10\x00")
    at = _place(data, rng.choice(marks), rng)
    data[at:at] = element


def deepened(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    """Open sequences within sequences, thousands at times, or a row of empty items."""
    level = b"\x40\x00\x60\x05SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    item = rng.choice((b"\xfe\xff\x00\xe0\x00\x00\x00\x00", bytes(8)))
    head = b"\x40\x00\x60\x05SQ\x00\x00\xff\xff\xff\xff"
    deep = level * rng.choice((3, 20, 100, 3000))
    bomb = rng.choice((deep, head + item * rng.choice((20, 20, 5000))))
    at = _place(data, b"\x28\x00\x02\x00", rng)
    data[at:at] = bomb


def _place(data: bytearray, mark: bytes, rng: random.Random) -> int:
    at = data.find(mark)
    return at if at >= 0 else rng.randrange(len(data))


Mutation = Callable[[bytearray, random.Random, Sequence[bytes]], None]
MUTATIONS: tuple[Mutation, ...] = (
    flipped, flipped, flipped, cut_off, lying, lying, spliced, spliced, doubled, planted, deepened,
)  # fmt: skip


def make_input(number: int, seed: int, seeds: Sequence[bytes]) -> bytes:
    """Return the input of a number: the same in every run."""
    rng = random.Random(f"{seed} {number}")
    # The made ones come first; they are few, and hold more kinds of things.
    data = bytearray(rng.choice(seeds if rng.random() < 0.5 else seeds[:_MADE]))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(MUTATIONS)(data, rng, seeds)
        if len(data) < 2:
            break
    return bytes(data)


def take(path: Path) -> str:
    """Put a file through everything; return what became of it.

    Raises: AssertionError where a canary comes out, or a warning, which quotes what it found.
    """
    warnings.simplefilter("error")
    outcome = _reason(lambda: read_header(path, LIMITS))
    for frame in _frames(path):
        if isinstance(frame, bytes):
            _check_scan(frame)
    cleaned = _reason(lambda: _clean(path))
    return f"{outcome} / {cleaned}"


def _frames(path: Path) -> list[object]:
    try:
        return list(read_frames(path, 0, 3, LIMITS))
    except ImageError:
        return []


def _reason(work: Callable[[], object]) -> str:
    try:
        work()
    except ImageError as error:
        reason = error.reason
        _check_bytes(str(error).encode())
        return reason
    return "ok"


def _clean(path: Path) -> None:
    with open_dicom(path) as opened:
        list(identifiers(opened.dataset))
        clean = deidentify_dataset(opened.dataset, VAULT).dataset
        header = io.BytesIO()
        with quietly():
            dcmwrite(header, clean, implicit_vr=False, little_endian=True)
        _check_bytes(header.getvalue())
        frames, spool = open_frames(opened, LIMITS), io.BytesIO()
        describe_pixels(clean, write_pixels(frames, spool, LIMITS, lambda pixels: False), spool)
        with quietly():
            dcmwrite(io.BytesIO(), clean, implicit_vr=False, little_endian=True)


def _check_scan(jpeg: bytes) -> None:
    rest, end = b"", 0
    for start, stop in clean_jpeg(jpeg).scans:
        rest, end = rest + jpeg[end:start], stop
    _check_bytes(rest + jpeg[end:])


def _check_bytes(data: bytes) -> None:
    assert CANARY.lower() not in data.lower(), "the canary came out"


@contextmanager
def in_time(seconds: float, waited_seconds: float) -> Iterator[None]:
    """Raise HangError in a block that takes more of the processor, or far longer by the clock."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    signal.signal(signal.SIGPROF, stop)
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, waited_seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def try_one(number: int, seed: int, seeds: Sequence[bytes], path: Path) -> tuple[str, float]:
    """Return what became of an input ("BAD …": what should not have), and seconds of processor."""
    path.write_bytes(make_input(number, seed, seeds))
    begun = time.process_time()
    try:
        with in_time(_SECONDS, _WAITED_SECONDS):
            outcome = take(path)
    except HangError:
        outcome = "BAD hang"
    except Exception as error:
        # Anything but a named error is what is looked for here.
        outcome = f"BAD {type(error).__name__}: {str(error)[:100]}"
    return outcome, time.process_time() - begun


def main() -> int:
    """Run the inputs and print what became of them; 1 where any was bad."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="make this one input and show its error")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    seeds = [*made_seeds(), *installed_seeds()]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input.dcm"
        if options.only is not None:
            path.write_bytes(make_input(options.only, options.seed, seeds))
            print(take(path))
            return 0
        return run(range(options.first, options.inputs), options.seed, seeds, path)


def run(numbers: Sequence[int], seed: int, seeds: Sequence[bytes], path: Path) -> int:
    """Put inputs through; print the bad ones as they come and a summary."""
    counts: Counter[str] = Counter()
    begun, slowest = time.perf_counter(), (0.0, -1)
    for number in numbers:
        outcome, seconds = try_one(number, seed, seeds, path)
        counts[outcome] += 1
        slowest = max(slowest, (seconds, number))
        if outcome.startswith("BAD"):
            print(f"input {number}: {outcome}", flush=True)
        if number % 5000 == 4999:
            print(f"{number + 1} inputs, {time.perf_counter() - begun:.0f} s", flush=True)
    bad = sum(count for outcome, count in counts.items() if outcome.startswith("BAD"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{len(numbers)} inputs from {len(seeds)} files, {bad} bad; slowest {slowest[0]:.2f} s "
          f"(input {slowest[1]}); peak memory {peak} MiB")  # fmt: skip
    for outcome, count in counts.most_common():
        print(f"{count:8d}  {outcome}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
