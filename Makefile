# The project's commands. They need Python 3.11 or later, pip and make; `make help` lists them.

PYTHON ?= python3
UV ?= uv
ONLY ?=
AGAINST ?=
# The longest files first, so that no process is alone with one at the end.
TESTS ?= tests/e2e tests/interop tests/property tests/integration tests/contract tests/unit
JOBS ?= 2
KILLS ?= 200
STORE ?= both
SEED ?= 2026
EXAMPLES ?= 100

BIN := .venv/bin
PIP = $(shell test -x $(BIN)/pip && echo $(BIN)/python -m pip || echo $(PYTHON) -m pip --python $(BIN)/python)
INSTALL = $(PIP) --disable-pip-version-check install --quiet --no-input
LOCK = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --group build

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo test check conformance fuzz crash fmt bench run migrate reference sbom lock

help: ## list these commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; \
	do printf '  make %-11s %s\n' "$$name" "$$text"; done

demo: .venv/.base ## watch a scripted buyer find, judge, pay for, use and recommend a service
	$(BIN)/market run scenarios/first_purchase.toml

test: .venv/.dev ## run all tests (TESTS=tests/unit for a part, JOBS=0 in one process)
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

check: .venv/.dev ## format, lint, types, floors, then all tests: what must be green
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) test

conformance: .venv/.dev ## run others' stream suite and client on both databases (needs Node 20)
	$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR is not set' -m tests.conformance.run $(AGAINST)

fuzz: .venv/.dev ## try every operation of the API with good and bad requests (EXAMPLES=100 each)
	$(BIN)/python -m tests.fuzz.run --examples $(EXAMPLES)

fmt: .venv/.dev ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

crash: .venv/.dev ## kill markets under load and audit after each kill (KILLS=200 STORE=both SEED=2026)
	$(BIN)/python -W 'ignore:XDG_RUNTIME_DIR is not set' -m tests.crash \
		--kills $(KILLS) --store $(STORE) --seed $(SEED)

bench: .venv/.base ## measure against yardsticks of the same run (ONLY=order, live, streams, bounds ...)
	$(BIN)/python -m bench $(ONLY)

run: .venv/.base ## serve a market on this machine
	$(BIN)/market serve

migrate: .venv/.base ## bring the tables of a store to their present form (MARKET_HOME, MARKET_STORE)
	$(BIN)/market migrate

reference: .venv/.base ## write docs/reference.md, docs/samples.md and the tables of docs/limits.md anew
	$(BIN)/python docs/make_reference.py
	$(BIN)/python docs/make_limits.py
	$(BIN)/python docs/make_samples.py

sbom: ## write the bill of materials of both locks to dist/ (CycloneDX; installs nothing)
	$(PYTHON) docs/make_sbom.py

lock: ## resolve requirements.lock and requirements-dev.lock anew (needs uv: pip install uv)
	$(LOCK) --upgrade --output-file requirements.lock pyproject.toml
	$(LOCK) --upgrade --extra dev --constraint requirements.lock \
		--output-file requirements-dev.lock pyproject.toml

# The environment. A stamp says what is installed, so that a second run starts at once. Where the
# system's Python cannot give the environment a pip of its own, the system's pip fills it.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'Python 3.11 or later is needed: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -m venv .venv >/dev/null 2>&1 || $(PYTHON) -m venv --clear --without-pip .venv

.venv/.base: requirements.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what requirements.lock names (once, about half a minute) ...'
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: requirements-dev.lock pyproject.toml | $(BIN)/python
	@echo 'Installing what requirements-dev.lock names (once, about a minute) ...'
	@$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch .venv/.base $@
