#!/usr/bin/env bash
# Runs `verify` on the synthetic scores of fixtures/, whose names begin with the exit code they must give.
# For every pull request: it takes seconds and shows that the gate still opens and closes.
#
#   examples/ci/known_verdicts.sh OUT
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: $0 OUT}
mkdir -p "$out"
wrong=0
for scores in "$here"/fixtures/[0-9]-*.csv; do
    name=$(basename "$scores" .csv)
    "$here/verify.sh" "$scores" "$here/fixtures/reference.csv" "$out/$name" --protocol dmc-1m@1 >"$out/$name.log" 2>&1
    code=$?
    if [ "$code" -eq "${name%%-*}" ]; then
        echo "ok    $name: exit code $code"
    else
        echo "WRONG $name: exit code $code"
        cat "$out/$name.log"
        wrong=1
    fi
done
exit $wrong
