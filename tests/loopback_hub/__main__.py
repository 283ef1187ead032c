"""The Hub as a process of its own: prints its address, and serves until its input ends."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .server import LoopbackHub


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.loopback_hub")
    parser.add_argument("root", type=Path, help="folder of its repositories")
    parser.add_argument("--port", type=int, default=0)
    asked = parser.parse_args()
    with LoopbackHub(asked.root).running(asked.port) as hub:
        print(hub.address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
