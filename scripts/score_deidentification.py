"""The two-sided score of de-identification over a made export, by carrier.

What must go is gone where a plain search finds it in no byte of what `curate` published or said;
what must stay is kept where the released cells and cleaned files still show it. All of the former
and 99 % of the latter are required: exit status 1 otherwise. Prints a table, or one JSON object
with --json. Every name and number in it is invented.

    python scripts/score_deidentification.py
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.deidentify.planted.proof import KEPT, REMOVED, Proof, prove


def main() -> None:
    """Make the export, curate it and print the score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        proof = prove(Path(folder))
        unseen = [f"{fact.carrier}, {fact.where}" for fact in proof.unseen]
    seconds = time.perf_counter() - started
    if options.as_json:
        result = {**proof.score.as_dict(), "unseen_in_source": unseen, "seconds": seconds}
        print(json.dumps(result, ensure_ascii=False))
    else:
        _print(proof, unseen, seconds)
    sys.exit(0 if proof.is_reached else 1)


def _print(proof: Proof, unseen: list[str], seconds: float) -> None:
    print("\n".join(proof.score.lines()))
    for failure in proof.score.failures:
        print(failure.line())
    for fact in unseen:
        print(f"not to be seen in the source, so that it proves nothing: {fact}")
    verdict = "reached" if proof.is_reached else "MISSED"
    print(f"{REMOVED:.0%} removed and {KEPT:.0%} kept: {verdict} ({seconds:.0f} s)")


if __name__ == "__main__":
    main()
