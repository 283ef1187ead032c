#!/usr/bin/env bash
# The whole way on the real cells beside the checkout: what docs/first-run.md reports.
# Pictures of real cells stay in out/, which git ignores.
set -euo pipefail
cd "$(dirname "$0")/.."
DATA=${DATA:-../shared/data}
WEIGHTS=${WEIGHTS:-../shared/weights}
MINUTES=${MINUTES:-45}
SOURCE="PBC, Acevedo et al. 2020, doi 10.17632/snkd93bnjr.1"
smearkit() { .venv/bin/smearkit "$@"; }

[ -d out/raw ] || time smearkit curate "$DATA/pbc_raw" --out out/raw
[ -d out/pbc ] || time smearkit curate "$DATA/pbc128.parquet" --license cc-by-4.0 \
    --source-name "$SOURCE" --out out/pbc
[ -d out/generator ] || time smearkit train out/pbc --preset cpu-64 --minutes "$MINUTES" \
    --out out/generator
[ -d out/synthetic ] || time smearkit sample out/generator -n 100 --steps 12 --out out/synthetic
[ -d out/report ] || time smearkit evaluate --real out/pbc --synthetic out/synthetic \
    --inception "$WEIGHTS" --max-per-class 100 --out out/report
[ -d out/release ] || time smearkit release --real out/pbc --synthetic out/synthetic \
    --report out/report --version 0.1.0 --name "PBC blood cells" --out out/release
smearkit inspect out/release
.venv/bin/python scripts/synthetic_sheet.py out/synthetic docs/synthetic-first-run.jpg
