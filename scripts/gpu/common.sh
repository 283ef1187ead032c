# What the scripts of this folder share; sourced by them, from the repository's root.
WORK=${WORK:-/tmp/smearkit-gpu}   # on the machine itself: forgotten with it
OUT=${OUT:-out/gpu/home}          # carried home
WHEELS=${WHEELS:-out/gpu/wheels}  # what the machine lacks: see README.md
if [ -d "$WHEELS" ]; then
    python3 -m pip install -q --no-index --no-deps --no-compile --target "$WORK/site" "$WHEELS"/*.whl
    export PYTHONPATH="$WORK/site${PYTHONPATH:+:$PYTHONPATH}"
fi
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python3
    [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
export HF_HUB_OFFLINE=1
mkdir -p "$WORK" "$OUT"
smearkit() { "$PYTHON" -m smearkit "$@"; }
