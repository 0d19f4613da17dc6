# Two commands matter: `make demo` and `make test`. Both make the environment they need first.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := test,dev,sb3,ray,tensorboard,traces
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq

# A Python to use instead of the first suitable one found.
PYTHON ?=
# Test processes, and further arguments for pytest: make test WORKERS=8 ARGS="-k exact".
WORKERS ?= 2
ARGS ?=
# How long `make fuzz` tries, and from which seed.
SECONDS ?= 600
SEED ?= 0

# Tests that reach compiled kernels.
KERNELS := tests/physics tests/solvers tests/structures tests/properties

.DEFAULT_GOAL := help
.PHONY: help install demo test test-bounds fuzz lint style types imports format bench coverage clean

help: ## List what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv with everything pinned in constraints.txt (again only when that changes).

demo: install ## Solve, collect demonstrations, train, compare: the whole toolkit in one run.
	@$(BIN)/python examples/demo.py $(ARGS)

# One thread per process: processes that share two cores must not also fight over them.
test: install ## Run all tests.
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n $(WORKERS) --dist worksteal --benchmark-disable $(ARGS)

# A failure is printed with a command that shows it; SECONDS=3600 ARGS="--report FILE.md" writes the table of the tries.
# ARGS="--only proofs --begin 5000 --tries 5000" goes on with a class; its failed cases belong to known_values/false_proofs.
fuzz: install ## Try to break everything from seeds, for SECONDS=600; SEED=0.
	@OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(SECONDS) --seed $(SEED) $(ARGS)

lint: style types imports ## Check style, types and who imports whom.

style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

imports: install
	$(BIN)/lint-imports

format: install ## Rewrite the code in the house style.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# ARGS goes to the script of the table: make bench ARGS="--sizes 100x10 --limit 60".
bench: install ## Measure speed, side by side: an hour; a second call goes on with the table in results/bench.
	@OMP_NUM_THREADS=1 $(BIN)/pytest tests/benchmarks --timeout 0
	@OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/exact_against_general.py --out results/bench $(ARGS)
	@OMP_NUM_THREADS=1 $(BIN)/python tests/benchmarks/every_exact_against_general.py --out results/bench

# With a cache of their own: kernels with and without checks must not be mixed up.
test-bounds: install ## Run the tests that reach kernels with Numba's checks of array bounds.
	@OMP_NUM_THREADS=1 NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.numba_bounds \
		$(BIN)/pytest -n $(WORKERS) --dist worksteal --benchmark-disable $(ARGS) $(KERNELS) tests/problems

# Coverage sees no compiled code, so tests of rooms with kernels run once more with these as plain Python; those that
# would take minutes are ended (tests/conftest.py).
MEASURED := $(BIN)/coverage run -m pytest -n $(WORKERS) --dist worksteal --benchmark-disable

coverage: install ## Run all tests, kernels also uncompiled; list what none reaches; ask for 92 % of the branches.
	@$(BIN)/coverage erase
	@OMP_NUM_THREADS=1 $(MEASURED) $(ARGS)
	@OMP_NUM_THREADS=1 NUMBA_DISABLE_JIT=1 $(MEASURED) $(ARGS) $(KERNELS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report
	@$(BIN)/coverage json -q -o - | $(BIN)/python tests/coverage_by_folder.py

clean: ## Remove build products and caches; the environment and your results stay.
	rm -rf build dist *.egg-info htmlcov .coverage .coverage.* .benchmarks .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .grimp_cache .numba_bounds
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# Any Python that starts, is recent enough and can make environments (some systems package venv apart) will do;
# 3.11 comes first because constraints.txt was resolved with it. The stamp is written last, so that an
# interrupted installation is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	usable='import sys; sys.exit(sys.version_info < (3, 11))'; \
	if ! $(BIN)/python -c "$$usable" 2>/dev/null || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		found=; bare=; \
		for candidate in $(or $(PYTHON),python3.11 python3 python3.12 python3.13 python3.14 python); do \
			"$$candidate" -c "$$usable" 2>/dev/null || continue; \
			if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then found=$$candidate; break; fi; \
			bare=$${bare:-$$candidate}; \
		done; \
		if [ -z "$$found" ] && [ -n "$$bare" ]; then \
			echo "error: $$bare cannot create environments: install its venv module (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; \
		elif [ -z "$$found" ]; then \
			echo "error: Python 3.11 or newer is needed and none was found; name one with: make PYTHON=/path/to/python3" >&2; exit 1; \
		fi; \
		echo "Creating $(VENV) with $$("$$found" --version)"; \
		"$$found" -m venv --clear $(VENV); \
	fi; \
	echo "Installing offloadopt and its pinned dependencies into $(VENV): this takes a few minutes, once"; \
	$(PIP) install -c constraints.txt setuptools; \
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'; \
	touch $(STAMP); \
	echo "Installed"
