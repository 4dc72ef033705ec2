# Needs make and Python 3.11 or newer, nothing else. `make help` lists what there is.

PYTHON ?= python3
ARGS ?=
BENCH_OUT ?= benchmarks/results/cpu.json
PYTEST_ARGS ?=
PYTEST_WORKERS ?= logical
LOCK_ARGS ?=

# "3.12 ok", "3.9 old", or nothing where $(PYTHON) is no Python.
PYTHON_INFO := $(shell "$(PYTHON)" -c 'import sys; v = sys.version_info; print("%d.%d %s" % (v[0], v[1], "ok" if v >= (3, 11) else "old"))' 2>/dev/null)
PYTHON_VERSION := $(word 1,$(PYTHON_INFO))

# One environment per Python version, so that two of them can be used side by side.
VENV ?= .venv-$(PYTHON_VERSION)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Compiled programs are kept between runs and shared by the test workers.
JAX_COMPILATION_CACHE_DIR ?= $(CURDIR)/.cache/jax
JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS ?= 0.5
export JAX_COMPILATION_CACHE_DIR JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS

# What the fast tests compile they run briefly: compiled with little optimisation they take half the time. Loops of one
# turn, such as that over `max_spawns`, stay loops: unrolled, they make a step take more than twice as long to compile.
# The slow tests, and `make test TEST_XLA_FLAGS=`, run what users run. jax 0.12 (Python 3.12) has no other emitters.
TEST_XLA_FLAGS ?= --xla_cpu_parallel_codegen_split_count=1 --xla_backend_optimization_level=0 \
	--xla_disable_hlo_passes=simplify-while-loops $(if $(filter 3.11,$(PYTHON_VERSION)),--xla_cpu_use_fusion_emitters=false)

# -qq: errors only. Modules are compiled as they are imported: most never are, and it would take as long as all else.
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --no-input
# Tests of one file share what they have compiled: they stay together. Files come in the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder

need-python = $(if $(filter ok,$(PYTHON_INFO)),,$(error nmmo-jax needs Python 3.11 or newer, and \
PYTHON=$(PYTHON) is $(if $(PYTHON_VERSION),Python $(PYTHON_VERSION),not a Python that runs); \
name another with PYTHON=/path/to/python3.12))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help simulate train watch bench test test-slow test-lowest test-torch test-plan lint format docs site dist setup lock clean

help:  ## list the targets and variables
	@echo "Targets:"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' Makefile | awk -F'|' '{ printf "  make %-11s  %s\n", $$1, $$2 }'
	@echo "Variables:"
	@echo "  PYTHON          the Python to use ($(PYTHON)); each version has its own environment, .venv-X.Y"
	@echo "  ARGS            arguments for simulate, train, watch and bench, e.g. ARGS=--help"
	@echo "  BENCH_OUT       file for the results of bench ($(BENCH_OUT))"
	@echo "  PYTEST_ARGS     arguments for pytest, e.g. PYTEST_ARGS='-k combat'"
	@echo "  PYTEST_WORKERS  test processes ($(PYTEST_WORKERS): one per core, at most 4; 0: none beside pytest's own)"
	@echo "  TEST_XLA_FLAGS  how the fast tests are compiled (with little optimisation; empty: as users compile)"
	@echo "  LOCK_ARGS       arguments for lock, e.g. LOCK_ARGS=--upgrade"

simulate: $(STAMP)  ## run nmmo-jax simulate (with ARGS)
	@$(BIN)/nmmo-jax simulate $(ARGS)

# A run that was interrupted is continued, and what cannot be continued replaced.
bench: $(STAMP)  ## run the whole benchmark (with ARGS), then draw its figures and write its tables
	@$(BIN)/nmmo-jax bench --full --overwrite --out $(BENCH_OUT) --figures benchmarks/figures $(ARGS)
	@$(BIN)/python docs/generate.py

train: $(STAMP)  ## train eight populations of law128 for four minutes (with ARGS)
	@$(BIN)/nmmo-jax train $(ARGS)

watch: $(STAMP)  ## watch the last training run, or a policy that comes with the package, in the browser (with ARGS)
	@$(BIN)/nmmo-jax watch $(ARGS)

test: lint  ## lint, then run the tests that are not marked slow
	@XLA_FLAGS="$(strip $(TEST_XLA_FLAGS) $(XLA_FLAGS))" $(PYTEST) $(PYTEST_ARGS)

# pytest exits with 5 where it found no test to run.
test-slow: $(STAMP)  ## run the tests that are marked slow
	@$(PYTEST) -m slow $(PYTEST_ARGS) || [ $$? -eq 5 ]

# What uses each library: checkpoints, networks and optimisers, the command line, tables, figures, pictures, films,
# ratings, intervals, logs, the viewer's server, properties, searches.
LOWEST := .cache/lowest
LOWEST_TESTS ?= $(addprefix tests/test_,checkpoint.py networks.py distributions.py updates.py flags.py docs.py render.py \
	simulate.py tournament.py statistics.py intervals.py loggers.py maps.py watch.py watch_access.py watch_server.py properties.py \
	files.py damage.py tune.py)
test-lowest:  ## run a part of the tests with the lowest versions that pyproject.toml allows
	$(need-python)
	@"$(PYTHON)" -m venv --clear $(LOWEST)
	@$(LOWEST)/bin/python -m pip install -qq --disable-pip-version-check uv
	@$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct -e '.[test,video]'
	@$(LOWEST)/bin/python -m pytest -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile $(LOWEST_TESTS) $(PYTEST_ARGS)

# PyTorch is too large for the environment of all other tests.
TORCH := .cache/torch
TORCH_TESTS ?= $(addprefix tests/test_,adapter_examples.py vec_env.py adapters.py)
test-torch:  ## run the tests of what plays with PyTorch, in an environment of its own
	$(need-python)
	@"$(PYTHON)" -m venv $(TORCH)
	@$(TORCH)/bin/python -m pip install -qq --disable-pip-version-check -e '.[test,jaxmarl,torch]'
	@$(TORCH)/bin/python -m pytest -m "slow or not slow" $(TORCH_TESTS) $(PYTEST_ARGS)

# What compiles for a GPU takes a gigabyte.
PLAN := .cache/plan
test-plan:  ## compile for an H100 that need not be there, and compare what would run with what is kept
	$(need-python)
	@"$(PYTHON)" -m venv $(PLAN)
	@$(PLAN)/bin/python -m pip install -qq --disable-pip-version-check -e '.[test,plan]'
	@$(PLAN)/bin/python -m pytest -m "slow or not slow" tests/test_paper.py $(PYTEST_ARGS)

lint: $(STAMP)  ## ruff (rules and formatting), basedpyright (types), then import-linter (layers)
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@$(BIN)/python -m basedpyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports --no-logo --cache-dir .cache/import-linter

format: $(STAMP)  ## let ruff format the code and repair what it can
	@$(BIN)/python -m ruff check --fix-only .
	@$(BIN)/python -m ruff format .

docs: $(STAMP)  ## write what the documentation has from the code and the results of the benchmark
	@$(BIN)/python docs/generate.py

# With the locked hatchling, so that no index is asked.
dist: $(STAMP)  ## build the wheel and the source distribution into dist/
	@rm -rf dist
	@$(BIN)/python -m build --no-isolation --outdir dist

site: $(STAMP)  ## build the documentation as a web site, site/index.html; links that lead nowhere fail
	@NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict

setup: $(STAMP)  ## create the environment and install into it (the others do so when needed)

$(STAMP): pyproject.toml requirements.lock
	$(need-python)
	@echo "Setting up $(VENV): installing requirements.lock and nmmo-jax itself (a minute or two) ..."
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || "$(PYTHON)" -m venv --clear $(VENV) > /dev/null || { \
		echo "$(PYTHON) -m venv failed (on Debian and Ubuntu it needs the package python3-venv)" >&2; exit 1; }
	@$(PIP_INSTALL) -r requirements.lock
	@$(PIP_INSTALL) --no-deps -e .
	@touch $@

# Keeps the versions that are in the file and still fit; LOCK_ARGS=--upgrade takes the newest.
lock:  ## regenerate requirements.lock from pyproject.toml
	$(need-python)
	@"$(PYTHON)" -m venv --clear .cache/lock
	@.cache/lock/bin/python -m pip install -qq --disable-pip-version-check uv
	.cache/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --extra test \
		--no-emit-index-url --annotation-style line --custom-compile-command "make lock" \
		$(LOCK_ARGS) --output-file requirements.lock pyproject.toml

clean:  ## remove the environments, caches and build outputs (not runs/)
	@rm -rf .venv .venv-* .cache .hypothesis .pytest_cache .ruff_cache build dist *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
