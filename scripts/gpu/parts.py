"""A folder as files of at most 16 MB each with a list of checksums, and back.

python -m scripts.gpu.parts split FOLDER OUT
python -m scripts.gpu.parts join OUT FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

from curation.errors import SmearkitError
from curation.output import refuse_existing, write_whole

PART_BYTES = 16_000_000
_LIST = "parts.json"
_NEXT = "Next: carry all the files of the folder again"


def split(folder: Path, out: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Write a folder's files as parts; the list of their checksums is written last.

    Raises: OutputExistsError.
    """
    refuse_existing(out)
    data = _archived(folder)
    out.mkdir(parents=True)
    sums: dict[str, str] = {}
    for number, start in enumerate(range(0, len(data), part_bytes)):
        part = data[start : start + part_bytes]
        sums[f"part-{number:03d}"] = hashlib.sha256(part).hexdigest()
        write_whole(out / f"part-{number:03d}", part)
    write_whole(out / _LIST, json.dumps(sums, indent=2).encode() + b"\n")
    return [out / name for name in sums]


def join(parts: Path, folder: Path) -> None:
    """Put a folder together again; it is there whole or not at all.

    Raises: SmearkitError where a part is missing or was changed; OutputExistsError.
    """
    refuse_existing(folder)
    data = b"".join(_checked(parts, name, total) for name, total in _listed(parts).items())
    partial = folder.with_name(f".{folder.name}.joining")
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        # Nothing outside the folder, no links, no devices.
        archive.extractall(partial, filter="data")
    partial.rename(folder)


def _archived(folder: Path) -> bytes:
    out = io.BytesIO()
    # Not compressed: weights hardly shrink.
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(str(path.relative_to(folder)))
                entry.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(entry, file)
    return out.getvalue()


def _listed(parts: Path) -> dict[str, str]:
    try:
        listed: dict[str, str] = json.loads((parts / _LIST).read_bytes())
    except (OSError, ValueError) as error:
        raise SmearkitError(f"{parts} has no {_LIST} that can be read. {_NEXT}") from error
    return listed


def _checked(parts: Path, name: str, total: str) -> bytes:
    path = parts / name
    if path.name != name or not path.is_file():
        raise SmearkitError(f"{parts} is not whole: {name} is missing. {_NEXT}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != total:
        raise SmearkitError(f"{path} was changed: its checksum is not the one listed. {_NEXT}")
    return data


def main() -> None:
    """Split or join."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=("split", "join"))
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    if options.verb == "split":
        parts = split(options.source, options.target)
        size = sum(path.stat().st_size for path in parts)
        print(f"{options.target}  {size / 1e6:.1f} MB in {len(parts)} parts")
    else:
        join(options.source, options.target)


if __name__ == "__main__":
    main()
