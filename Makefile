# Each target works alone on a fresh machine with Python 3.11: it makes .venv and installs first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLED_DEV := .venv/.installed-dev

.DELETE_ON_ERROR:
.PHONY: demo test slow lint types check clean

demo: $(INSTALLED)  ## Make scenes, train, evaluate, predict, report: about three minutes
	$(BIN)/atrous demo

# A process for each core, one thread in each; the tests of a file stay together
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile

test: $(INSTALLED_DEV)  ## The fast set, about nine minutes on two cores
	$(PYTEST) -m "not slow"

slow: $(INSTALLED_DEV)  ## What the fast set leaves out
	$(PYTEST) -m slow

lint: $(INSTALLED_DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	git ls-files -z | xargs -0 $(BIN)/python .ci/check_files.py

types: $(INSTALLED_DEV)
	$(BIN)/mypy

check: lint types test

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(INSTALLED): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into .venv; torch is large, this takes some minutes"
	$(BIN)/python -m pip install --quiet --editable . --constraint constraints.txt
	touch $@

$(INSTALLED_DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into .venv; torch is large, this takes some minutes"
	$(BIN)/python -m pip install --quiet --editable ".[dev]" --constraint constraints.txt
	touch $(INSTALLED) $@
