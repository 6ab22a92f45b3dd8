#!/usr/bin/env bash
# Verifies a scores file (or runs folder) against a reference and leaves by the exit code of the verdict:
# 0 reproduced, 1 not, 2 usage, 3 inconclusive, 4 invalid data, 5 internal.
#
#   examples/ci/verify.sh SCORES REFERENCE OUT [options of `dreamer-bench verify`]
#
# OUT receives verdict.json and verdict.xml (JUnit). Keep verdict.json between builds: it counts the interim analyses of growing data.
set -euo pipefail
if [ "$#" -lt 3 ]; then
    echo "usage: $0 SCORES REFERENCE OUT [options of dreamer-bench verify]" >&2
    exit 2
fi
scores=$1 reference=$2 out=$3
shift 3
mkdir -p "$out"
exec ${DREAMER_BENCH:-dreamer-bench} verify "$scores" --reference "$reference" \
    --json "$out/verdict.json" --junit "$out/verdict.xml" --per-task "$@"
