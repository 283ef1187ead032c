#!/usr/bin/env bash
# 128 px, in one call of ten minutes and more of them for more: see README.md.
PRESET=${PRESET:-gpu-128} exec bash "$(dirname "$0")/train.sh"
