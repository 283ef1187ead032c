"""Memory that was freed goes back to the system: allocators keep it for what comes next."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Return what numpy, Arrow and Python have freed; to be called after large blocks went.

    Elsewhere than on Linux with glibc, only what Arrow has freed.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
