"""A trained generator as the package carries it: bfloat16, its training cells, its card."""

from __future__ import annotations

import argparse
from pathlib import Path

from curation.corpus import load_corpus
from synth.generator import load_generator
from synth.packaged.pack import MOST_LEVELS, Source, pack_generator

PBC = Source(
    citation="Acevedo, A., Merino, A., Alférez, S., Molina, Á., Boldú, L., Rodellar, J.: A dataset "
    "of microscopic peripheral blood cell images for development of automatic recognition "
    "systems. Data in Brief 30 (2020) 105474; data: Mendeley Data, doi 10.17632/snkd93bnjr.1.",
    license_id="cc-by-4.0",
    license_name="Creative Commons Attribution 4.0 International (CC BY 4.0)",
    license_url="https://creativecommons.org/licenses/by/4.0/",
)


def main() -> None:
    """Write the folder and say what it came to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("generator", type=Path, help="what `smearkit train` made")
    parser.add_argument("corpus", type=Path, help="the corpus it was trained on")
    parser.add_argument("--out", type=Path, required=True, help="such as synth/packaged/pbc-64")
    parser.add_argument("--measured", type=Path, help="measurements.json of its cells")
    parser.add_argument("--cells", type=int, default=4, help="drawn of each class, to see rounding")
    parser.add_argument("--most-levels", type=float, default=MOST_LEVELS,
                        help="grey levels that 99 %% of the drawn values may move by")  # fmt: skip
    options = parser.parse_args()
    rounding = pack_generator(
        load_generator(options.generator), load_corpus(options.corpus), options.out, PBC,
        measured=options.measured, cells_per_class=options.cells, most_levels=options.most_levels,
    )  # fmt: skip
    size = sum(path.stat().st_size for path in options.out.rglob("*") if path.is_file())
    print(
        f"{options.out}  {size / 1e6:.2f} MB; {rounding.cells} cells drawn before and after "
        f"rounding differ by {rounding.mean:.2f} grey levels on average, 99 % of values by at most "
        f"{rounding.p99:.1f}, none by more than {rounding.most:.0f}"
    )


if __name__ == "__main__":
    main()
