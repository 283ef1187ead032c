"""What every corpus, report and release of this product holds, whoever's cells are in it.

A patient may be called like a word of the card, and a slide like a column. Such an identifier
would be found in every release, so it is left out of the search and counted. The texts are read
from where the product keeps them: templates, vocabulary, schema, policies, the literals of the
modules that write cards and measurements, the keys and reasons of those that curate, and an empty
file of the Parquet writer. What the demo invents of patients is not among them.
"""

from __future__ import annotations

import ast
import io
import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq

from ...cells import SCHEMA
from ...versions import library_versions
from ...vocabulary import CELL_TYPES

_PACKAGES = ("curation", "synth", "cards")
_TEXTS = (".j2", ".yaml", ".yml", ".css", ".js")
_KEY = re.compile(r"[a-z]+(?:_[a-z]+)*")


@cache
def own_text() -> str:
    """Return the product's own texts, one a line."""
    return "\n".join(_texts())


def _texts() -> Iterator[str]:
    for cell in CELL_TYPES:
        yield from (cell.name, *cell.aliases, cell.rollup, cell.cl or "", cell.loinc or "")
    yield from (f"{name} {version}" for name, version in library_versions().items())
    yield _written_by_parquet()
    for package in _PACKAGES:
        for path in _files(package):
            if path.suffix == ".py":
                literals = _literals(path.read_text(encoding="utf-8"))
                # Sentences of this package are errors and tables of what to look for.
                keys_only = package == "curation"
                yield from (text for text in literals if not keys_only or _KEY.fullmatch(text))
            else:
                yield path.read_text(encoding="utf-8")


def _files(package: str) -> Iterator[Path]:
    # Found without importing: this package is below the others.
    spec = find_spec(package)
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix in (".py", *_TEXTS):
                yield path


def _literals(source: str) -> Iterator[str]:
    """Yield the texts that a module may write: its string literals, not its docstrings."""
    documentation: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        # A statement is met before what it consists of.
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            documentation.add(id(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in documentation:
                yield node.value
        # The fields of a model are the keys of what it writes.
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def _written_by_parquet() -> str:
    sink = io.BytesIO()
    pq.write_table(SCHEMA.empty_table(), sink)
    words = "".join(chr(byte) if 32 <= byte < 127 else "\n" for byte in sink.getvalue())
    return words + json.dumps({k.decode(): v.decode() for k, v in (SCHEMA.metadata or {}).items()})
