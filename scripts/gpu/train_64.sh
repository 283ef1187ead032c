#!/usr/bin/env bash
# 64 px, in one call of ten minutes: see README.md.
PRESET=${PRESET:-gpu-64} exec bash "$(dirname "$0")/train.sh"
