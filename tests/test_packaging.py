from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import smearkit

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("smearkit", "curation", "synth", "cards")
PRETRAINED = "synth/packaged/pbc-64/"
LIMIT_BYTES = 16_000_000
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_public_names_resolve() -> None:
    assert set(smearkit.__all__) == set(smearkit._HOME)
    for name in smearkit.__all__:
        value = getattr(smearkit, name)
        home = importlib.import_module(smearkit._HOME[name])
        assert value is getattr(home, name)
        assert not isinstance(value, ModuleType), name
    assert set(smearkit.__all__) <= set(dir(smearkit))


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'smearkit' has no attribute 'polish'"):
        _ = smearkit.polish


def test_no_module_stands_in_the_way_of_a_public_name() -> None:
    # Importing smearkit.x, from anywhere, puts the module x in the place of a function x.
    modules = {path.stem for path in (ROOT / "smearkit").glob("*.py")}
    assert modules & set(smearkit.__all__) == set()


def outcome(code: str) -> str:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["smearkit", "smearkit.cli"])
def test_importing_it_pulls_in_nothing_heavy(module: str) -> None:
    heavy = ("torch", "datasets", "diffusers", "pyarrow", "PIL", "scipy", "matplotlib")
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    assert outcome(code) == "[]"


@pytest.mark.parametrize("name", PACKAGES)
def test_each_package_resolves_inside_the_project(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).resolve().is_relative_to(ROOT)


def test_it_cannot_be_uploaded_by_accident() -> None:
    assert "Private :: Do Not Upload" in PROJECT["classifiers"]


def test_the_version_is_said_once() -> None:
    assert not hasattr(smearkit, "__version__")
    assert PROJECT["scripts"] == {"smearkit": "smearkit.cli:main"}


@pytest.mark.e2e
def test_the_wheel(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling, which builds the wheel")
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), "--no-deps",
               "--no-build-isolation", "--quiet", "--wheel-dir", str(tmp_path)]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith("/METADATA"))
        text = archive.read(metadata).decode()
        packaged = {
            entry.filename.removeprefix(PRETRAINED): entry.file_size
            for entry in archive.infolist()
            if entry.filename.startswith(PRETRAINED)
        }
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)
    inside = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside <= set(names)
    assert any(name.endswith(".j2") for name in inside)
    assert {f"curation/dedupe/{name}" for name in ("model.npz", "rates.json")} <= set(names)
    assert {f"synth/packaged/{name}" for name in ("card.md.j2", "license.j2")} <= set(names)
    assert "Classifier: Private :: Do Not Upload" in text
    # The generator that comes along: whole or not at all, no code, and of a size to come along.
    assert sum(packaged.values()) <= LIMIT_BYTES
    assert not packaged or {
        "generator.json", "model_index.json", "unet/config.json", "conditioner/config.json",
        "scheduler/scheduler_config.json", "training_ids.txt.gz", "training_codes.npy",
        "README.md", "LICENSE",
    } <= packaged.keys()  # fmt: skip
    assert {Path(name).suffix for name in packaged} <= {
        ".json",
        ".safetensors",
        ".gz",
        ".npy",
        ".md",
        "",
    }


def test_the_pretrained_generator_fits_into_the_package() -> None:
    folder = ROOT / PRETRAINED
    if not folder.is_dir():
        pytest.skip("this checkout has no pretrained generator")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= LIMIT_BYTES
