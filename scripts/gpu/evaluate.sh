#!/usr/bin/env bash
# Draw cells with a generator that was carried, and measure them where the FID network is given.
# Leaves $OUT/synthetic in parts, and $OUT/measurements.json and $OUT/report.html with INCEPTION.
set -euo pipefail
cd "$(dirname "$0")/../.."
GENERATOR=${GENERATOR:-out/gpu/generator}   # parts that train_64.sh or train_128.sh left
CORPUS=${CORPUS:-out/gpu/pack}
CELLS=${CELLS:-200}                     # of each class
INCEPTION=${INCEPTION:-}                # folder with inception-2015-12-05.pt
. scripts/gpu/common.sh

drawn=$WORK/synthetic
[ -d "$WORK/carried" ] || "$PYTHON" -m scripts.gpu.parts join "$GENERATOR" "$WORK/carried"
# An interrupted call goes on after its last finished piece.
# shellcheck disable=SC2086
[ -d "$drawn" ] || smearkit sample "$WORK/carried" -n "$CELLS" --out "$drawn" ${SAMPLE_FLAGS:-}
rm -rf "$OUT/synthetic"
"$PYTHON" -m scripts.gpu.parts split "$drawn" "$OUT/synthetic"
if [ -n "$INCEPTION" ]; then
    # shellcheck disable=SC2086
    [ -d "$WORK/report" ] || smearkit evaluate --real "$CORPUS" --synthetic "$drawn" \
        --inception "$INCEPTION" --out "$WORK/report" ${EVALUATE_FLAGS:-}
    cp "$WORK/report/measurements.json" "$WORK/report/report.html" "$OUT/"
fi
