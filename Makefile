.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_NUM_THREADS ?= 2
export MLFLOW_DISABLE_TELEMETRY := true

help: ## Show this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Make .venv and install torch, then the project (TORCH=torch keeps your CUDA build)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Expected Python 3.11 or newer, got $$($(PYTHON) --version). Set PYTHON=python3.12."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup ## Phantoms through the released model, a table and a figure; each stage trains on for a minute
	$(BIN)/mrcontrast study study=quickstart

test: setup ## Run the fast tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: setup ## Run the slow tests and those on real data
	$(BIN)/python -m pytest -m 'slow and not gpu' --timeout 3600

check: setup ## Lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean: ## Remove caches of the tools; leaves .venv and all outputs
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

clean-outputs: ## Remove outputs/ and multirun/: data, runs, studies, records (CONFIRM=yes)
	@du -shc outputs multirun 2>/dev/null || true
	@test "$(CONFIRM)" = yes || \
		{ echo "This removes the folders above, all trained models in them. Add CONFIRM=yes."; exit 2; }
	rm -rf outputs multirun

.PHONY: help setup demo test test-slow check clean clean-outputs
