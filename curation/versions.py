"""Which code and which libraries made something: what a manifest records."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("smearkit", "pyarrow", "pillow", "simplejpeg", "numpy")


def library_versions(*more: str) -> dict[str, str]:
    """Return name -> version of Python, smearkit, and the libraries that touch pixels."""
    found = {"python": platform.python_version()}
    for name in (*_LIBRARIES, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
