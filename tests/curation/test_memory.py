"""What was freed goes back to the system."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from curation.memory import give_back


def resident_bytes() -> int:
    """Return what this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, trims glibc's heap")
def test_freed_blocks_go_back_though_one_above_them_is_held() -> None:
    blocks = [np.ones(64 * 1024, np.uint8) for _ in range(2048)]
    last = blocks[-1]
    del blocks
    held = resident_bytes()
    give_back()
    assert held - resident_bytes() > 64 * 2**20
    assert last.all()
