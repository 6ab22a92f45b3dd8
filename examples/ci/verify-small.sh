#!/usr/bin/env bash
# The gate that this project applies to changes of agents/: trains an agent on small@1 with seeds that the reference does not
# have, and asks whether it still scores what the shipped records say. 5 to 10 minutes of one core.
#
#   examples/ci/verify-small.sh RUNS [REFERENCE] [options of `dreamer-bench verify`]
#
# Every task is judged apart. Leaves by the worst exit code; a better score passes, and so does an inconclusive verdict. The
# records are kept under RUNS by the content of the code, so that a call after an interruption resumes, and no call judges the
# records of other code.
# Tasks, margin and what this sees: docs/verifying.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
runs=${1:?usage: $0 RUNS [REFERENCE] [options of dreamer-bench verify]}
reference=${2:-results/references/dreamer-small/runs}
shift $(($# < 2 ? $# : 2))
read -ra tasks <<< "${TASKS:-gym:Pendulum-v1 gym:CartPole-v1}"
read -ra seeds <<< "${SEEDS:-20 21 22 23 24}"
agent=${AGENT:-dreamer}
bench=${DREAMER_BENCH:-dreamer-bench}
code=$(find agents protocols suites dreamer_bench*.py constraints.txt -type f \( -name '*.py' -o -name '*.txt' \) \
    | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-12)
records=$runs/verify-small/$code
$bench run small@1 --agents "$agent" --tasks "${tasks[@]}" --seeds "${seeds[@]}" --runs "$records" --no-film
worst=0
for task in "${tasks[@]}"; do
    code=0
    $bench verify "$records" --protocol small@1 --method "$agent" --tasks "$task" \
        --reference "$reference" --reference-method "$agent" --margin 0.05 --allow-better --inconclusive pass \
        --json "$records/verdict-${task#gym:}.json" --junit "$records/verdict-${task#gym:}.xml" "$@" || code=$?
    if [ "$code" -gt "$worst" ]; then worst=$code; fi
done
exit "$worst"
