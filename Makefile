# Every target makes its own .venv from constraints.txt; nothing else needs installing. Modules are
# compiled as they are first imported: compiling all that pip installs took 84 seconds an environment.
# Without what that leaves behind, a tiny cv with two workers took 33 seconds of CPU in place of 14.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
VENV ?= .venv
VENV_EXTRAS ?= $(VENV)-extras
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
STAMP := $(VENV)/.installed-dev
EXTRAS := $(VENV_EXTRAS)/.installed-extras
# Neighbours stay on one worker, which has what their modules prepared.
PARALLEL := -n auto --dist worksteal
PIP := python -m pip install --no-compile --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install demo bench test test-slow test-extras ray-test lint typecheck wheel fmt clean

help: ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(INSTALLED): pyproject.toml constraints.txt
	@echo "Installing mmctr-kit into $(VENV); torch is most of it"
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit(\
	  "error: Python 3.11 to 3.13 is needed, and $(PYTHON) is %d.%d; try make PYTHON=python3.12" % v)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/$(PIP) -e .
	@touch $@

$(STAMP): $(INSTALLED)
	@$(BIN)/$(PIP) --quiet -e '.[dev]'
	@touch $@

install: $(INSTALLED) ## The package, in .venv
	@echo "mmctr-kit is installed. Try next:"
	@echo "  $(BIN)/mmctr-kit demo      # the whole path on generated data: one to three minutes"
	@echo "  $(BIN)/mmctr-kit --help"

demo: $(INSTALLED) ## The whole path on generated data: one to three minutes on two CPU cores
	$(BIN)/mmctr-kit demo

bench: $(INSTALLED) ## Rows a second of each kind of model, on generated data
	$(BIN)/mmctr-kit bench --preset demo

test: $(STAMP) ## The quick tests; those that need a GPU or test-extras are skipped without it
	$(BIN)/python -m pytest $(PARALLEL) -m 'not slow'

test-slow: $(STAMP) ## The tests that kill processes, compile steps or repeat whole studies
	$(BIN)/python -m pytest $(PARALLEL) -m slow

$(EXTRAS): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV_EXTRAS)
	$(VENV_EXTRAS)/bin/$(PIP) --quiet -e '.[dev,all,test-extras]'
	@touch $@

test-extras: $(EXTRAS) ## The tests that need an extra, in .venv-extras
	$(VENV_EXTRAS)/bin/python -m pytest -n auto --dist loadfile tests/extras

ray-test: $(EXTRAS) ## The tests on a Ray cluster of three nodes, started here
	$(VENV_EXTRAS)/bin/python -m pytest tests/extras/test_ray.py

lint: $(STAMP) ## Style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(STAMP) ## mypy --strict on the package
	$(BIN)/mypy

wheel: ## Build the wheel, install it into an empty environment elsewhere, run the demo there
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && \
	$(PYTHON) -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$$work" . && \
	$(PYTHON) -m venv "$$work/venv" && \
	"$$work/venv/bin/"$(PIP) --quiet "$$work"/*.whl && \
	cd "$$work" && venv/bin/mmctr-kit demo

fmt: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove what the targets made
	rm -rf $(VENV) $(VENV_EXTRAS) demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
