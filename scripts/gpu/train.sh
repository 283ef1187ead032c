#!/usr/bin/env bash
# Train in one call of about ten minutes, or go on from what the last call left. Ends with either
# $OUT/generator (the training is done) or $OUT/state (give it as STATE to the next call).
set -euo pipefail
cd "$(dirname "$0")/../.."
PRESET=${PRESET:?give PRESET, or call train_64.sh or train_128.sh}
CORPUS=${CORPUS:-out/gpu/pack}     # what pack.py made
STATE=${STATE:-out/gpu/state}    # parts that the last call left, if it left any
MINUTES=${MINUTES:-8}          # of training in all calls together
STOP_AFTER=${STOP_AFTER:-8.5}  # of training in this call
. scripts/gpu/common.sh

made=$WORK/generator
left=$WORK/.generator.partial
if [ -d "$STATE" ] && [ ! -d "$left" ] && [ ! -d "$made" ]; then
    rm -rf "$WORK/state"
    "$PYTHON" -m scripts.gpu.parts join "$STATE" "$WORK/state"
    "$PYTHON" -m scripts.gpu.carry in "$WORK/state" "$left"
fi
# Whatever is given here again must be the same in every call, or the training begins anew.
# shellcheck disable=SC2086
[ -d "$made" ] || smearkit train "$CORPUS" --preset "$PRESET" --out "$made" \
    --minutes "$MINUTES" --stop-after "$STOP_AFTER" ${TRAIN_FLAGS:-}
rm -rf "$OUT/generator" "$OUT/state" "$WORK/home" "$WORK/next"
if [ -d "$made" ]; then
    "$PYTHON" -m scripts.gpu.carry home "$made" "$WORK/home"
    "$PYTHON" -m scripts.gpu.parts split "$WORK/home" "$OUT/generator"
else
    "$PYTHON" -m scripts.gpu.carry out "$left" "$WORK/next"
    "$PYTHON" -m scripts.gpu.parts split "$WORK/next" "$OUT/state"
fi
