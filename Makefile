# Needs python3 >= 3.11, make and a package registry; everything else goes into .venv.

PYTHON := .venv/bin/python
SET_UP := .venv/.set-up
COMPILED := .venv/.compiled
SOURCES := $(shell find src -name '*.py')
LOCK_ARGS ?=

# Bytecode is written whatever the environment says: start-up time depends on it.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help setup demo test check bench lock clean

help:
	@echo 'make setup   .venv with the locked dependencies and trainyard itself (the others do it when needed)'
	@echo 'make demo    train with two interruptions, compare, predict in shards with one killed; in demo/'
	@echo 'make test    the test suite'
	@echo 'make check   lint, format, types, layers, lock'
	@echo 'make bench   how fast it is, beside its peers'
	@echo 'make lock    requirements.txt anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)'
	@echo 'make clean   remove what make made: .venv, demo, caches'

setup: $(COMPILED)
	@:

demo: setup
	@$(PYTHON) examples/digits/demo.py demo

test: setup
	@$(PYTHON) -m pytest -n auto --maxprocesses 8

check: setup
	@echo 'ruff check' && $(PYTHON) -m ruff check --quiet .
	@echo 'ruff format' && $(PYTHON) -m ruff format --check --quiet .
	@echo 'mypy --strict' && $(PYTHON) -m mypy --no-error-summary
	@echo 'layers' && .venv/bin/lint-imports --no-cache >.venv/layers.log || { cat .venv/layers.log; exit 1; }
	@echo 'lock' && $(PYTHON) scripts/check_lock.py

bench: setup
	@$(PYTHON) benchmarks/run.py

lock: setup
	@.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(LOCK_ARGS) \
	  --all-extras --group dev --output-file requirements.txt pyproject.toml
	@$(PYTHON) scripts/check_lock.py

clean:
	@test ! -e $(SET_UP) || rm -rf .venv
	@rm -rf demo build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests examples benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(SET_UP): requirements.txt pyproject.toml scripts/find_python
	@python=$$(scripts/find_python) && echo "setting up .venv with $$python" && "$$python" -m venv .venv
	@echo 'installing the locked dependencies'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements.txt
	@echo 'installing trainyard'
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation -e .
	@touch $@

$(COMPILED): $(SET_UP) $(SOURCES)
	@$(PYTHON) -m compileall -q src
	@touch $@
