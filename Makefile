# Two commands matter: `make quick` (a real run and its report) and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
RUNS ?= runs
REPORT ?= report
BASE ?= origin/main
ARGS ?=

.PHONY: gpu slim quick verify-small test fuzz site setup lint docs bench compare egl browser
.DEFAULT_GOAL := quick

quick: setup egl
	$(BIN)/dreamer-bench run quick@2 --executor ray --runs $(RUNS)
	$(BIN)/dreamer-bench report $(RUNS) --out $(REPORT)

# The gate for changes of agents/: Dreamer on small@1 with new seeds against the records in results/. 5 to 10 minutes of one core.
verify-small: setup
	DREAMER_BENCH=$(BIN)/dreamer-bench examples/ci/verify-small.sh $(RUNS)

# Where a GPU is: its tests, the bench and the reproduction check, with their tables in build/gpu. Without one: a line, exit code 2.
gpu: setup egl
	$(BIN)/python -m tests.gpu $(ARGS)

test: setup egl browser
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not benchmark_suite"

# The board of our own records (results/): a static site, open site/index.html.
site: setup
	$(BIN)/dreamer-bench leaderboard build results/leaderboard --out site

# Malformed command lines, seeded: which kind of nonsense, how many, and what came of them. make fuzz ARGS="477 20261125"
fuzz: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.fuzz $(or $(ARGS),477 20261125)

bench: setup egl
	$(BIN)/python -m pytest tests/benchmarks -m benchmark_suite --benchmark-columns=median,iqr,rounds --benchmark-sort=name

# Base and head in one job on one machine, in turn: whole small programs, then the timing suite. make compare BASE=main ARGS="-k statistics"
compare: setup egl
	@git worktree remove --force .base 2>/dev/null || true
	trap 'git worktree remove --force .base' EXIT; \
	git worktree add --force --detach .base $(BASE) && \
	$(BIN)/python -m tests.benchmarks.beside_base .base && \
	(cd .base && ../$(BIN)/python -m pytest tests/benchmarks -m benchmark_suite --benchmark-storage=../.benchmarks --benchmark-save=base $(ARGS)) && \
	$(BIN)/python -m pytest tests/benchmarks -m benchmark_suite --benchmark-storage=.benchmarks --benchmark-save=head $(ARGS)
	$(BIN)/pytest-benchmark --storage=.benchmarks compare --group-by=fullname --columns=median,iqr,rounds

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What reading needs, installed alone: the verdicts of the CI example with neither torch nor a simulator on the machine.
slim:
	test -x .venv-slim/bin/python || $(PYTHON) -m venv .venv-slim
	.venv-slim/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	! .venv-slim/bin/python -c "import torch" 2>/dev/null
	DREAMER_BENCH=.venv-slim/bin/dreamer-bench examples/ci/known_verdicts.sh .venv-slim/known

# The site, into build/site; a broken link, anchor or reference fails.
docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing the packages of constraints.txt into .venv: about 2 minutes and 2.7 GB with the CPU build of torch."
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on -c constraints.txt --editable ".[all,dev,docs]"
	touch $@

# MuJoCo renders without a display through EGL; the library comes with the system, not with pip.
egl: setup
	@$(BIN)/python -c "import ctypes; ctypes.CDLL('libEGL.so.1')" 2>/dev/null || { \
		line="apt-get install -y --no-install-recommends libegl1 libgl1"; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && $$line -qq >/dev/null; \
		else echo "EGL is missing and this user may not install it. Run: sudo $$line"; exit 2; fi; }

# The leaderboard's and the report's tests look at the pages in a real browser; without one they are skipped, and say so.
browser:
	@command -v chromium >/dev/null || { \
		line="apt-get install -y --no-install-recommends chromium chromium-driver"; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && $$line -qq >/dev/null; \
		else echo "No chromium: the browser tests will be skipped. To run them: sudo $$line"; fi; }
