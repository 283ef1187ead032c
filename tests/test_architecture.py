"""The house rules that no type checker holds: who may import whom, and how."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each package may import those before it.
PACKAGES = ("curation", "synth", "cards", "smearkit")
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
IDS = [str(path.relative_to(ROOT)) for path in MODULES]


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield (imported module, relative level) of every import below a node."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def at_module_level(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the imports that run when the module is imported."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_imports_point_one_way(path: Path) -> None:
    own, *inside = path.relative_to(ROOT).parts
    lower = PACKAGES[: PACKAGES.index(own)]
    for name, level in imports(ast.parse(path.read_text())):
        if level:
            assert level <= len(inside), f"{name}: a relative import leaves its package"
            continue
        top = name.partition(".")[0]
        assert top != own, f"{name}: imports inside a package are relative"
        assert top not in PACKAGES or top in lower, f"{own} must not import {top}"
        assert top not in ("tests", "scripts"), f"{own} must not import {top}"


@pytest.mark.parametrize("path", MODULES, ids=IDS)
def test_modules_say_what_they_are(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text())), "a module needs a docstring"


def test_curation_names_no_torch_at_module_level() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] == "curation":
            for name, _ in at_module_level(ast.parse(path.read_text())):
                assert name.partition(".")[0] not in ("torch", "torchvision", "diffusers"), path


HEAVY = (
    "torch", "datasets", "diffusers", "transformers", "matplotlib", "cv2", "faiss", "sklearn",
    "cleanlab", "pandas", "ray", "onnxruntime", "rapidocr", "zxingcpp",
)  # fmt: skip


def pulled_in(first: str = "") -> str:
    """Return which heavy modules are there once every module of curation is imported."""
    code = (
        "import importlib, pkgutil, sys, curation\n"
        "for one in pkgutil.walk_packages(curation.__path__, 'curation.'):\n"
        "    importlib.import_module(one.name)\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{first}\n{code}"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_importing_curation_stays_light() -> None:
    assert pulled_in() == "[]"
    assert pulled_in("import cv2") == "['cv2']", "it would be seen"


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_resolves_inside_the_project(name: str) -> None:
    __import__(name)
    file = sys.modules[name].__file__
    assert file is not None
    assert Path(file).resolve().is_relative_to(ROOT)
