# Needs python3 >= 3.11, make and package registries (PyPI, and npm for the tests); all else goes into .venv.

PYTHON := .venv/bin/python
SET_UP := .venv/.set-up
COMPILED := .venv/.compiled
CHECKOV := .venv/checkov/.set-up
CHECKOV_LOCK := tests/tools/checkov/requirements.txt
SOURCES := $(shell find src -name '*.py')
LOCK_ARGS ?=
ABREAST := -n auto --maxprocesses 8 --dist worksteal
QUICK := $(addprefix tests/,core yard machine test_project.py) \
  $(patsubst %,tests/cli/test_%.py,formatting journey main project) \
  $(patsubst %,tests/aws/test_%.py,images requests requests_batch states) \
  $(patsubst %,tests/deploy/test_%.py,cost events plan replacements) \
  $(patsubst %,tests/worker/test_%.py,layout inference_handler inference_rows plan_inputs plan_splits) \
  $(patsubst %,tests/worker/test_training_%.py,arguments checkpoints models prepare variables)
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --no-input
COMPILE := .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' $(LOCK_ARGS)

# Bytecode is written whatever the environment says: start-up time depends on it.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONPATH
unexport PYTHONHOME

.PHONY: help setup demo test test-quick check bench drawing templates lock clean

help:
	@echo 'make setup   .venv with the locked dependencies and trainyard itself (the others do it when needed)'
	@echo 'make demo    train, be interrupted, predict in shards: here, then on an emulated AWS; in demo/'
	@echo 'make test    the test suite'
	@echo 'make test-quick  what needs no server and no emulated AWS, in less than a minute'
	@echo 'make check   lint, format, types, layers, lock'
	@echo 'make bench   how fast it is, beside its peers'
	@echo 'make drawing the pictures of the account in docs/ anew, from the templates'
	@echo "make templates  those of the sandbox anew, from the CDK"
	@echo 'make lock    the locked dependencies anew from pyproject.toml (LOCK_ARGS=--upgrade for newer versions)'
	@echo 'make clean   remove what make made: .venv, demo, caches'

setup: $(COMPILED) $(CHECKOV)
	@:

demo: $(COMPILED)
	@$(PYTHON) examples/digits/demo.py demo
	@$(PYTHON) examples/digits/sandbox_demo.py demo

test: setup
	@$(PYTHON) -m pytest $(ABREAST)

test-quick: $(COMPILED)
	@$(PYTHON) -m pytest $(ABREAST) $(QUICK)

check: $(COMPILED)
	@echo 'ruff check' && $(PYTHON) -m ruff check --quiet .
	@echo 'ruff format' && $(PYTHON) -m ruff format --check --quiet .
	@echo 'mypy --strict' && $(PYTHON) -m mypy --no-error-summary
	@echo 'layers' && .venv/bin/lint-imports --no-cache >.venv/layers.log || { cat .venv/layers.log; exit 1; }
	@echo 'lock' && $(PYTHON) scripts/check_lock.py

bench: $(COMPILED)
	@$(PYTHON) benchmarks/run.py

drawing: $(COMPILED)
	@$(PYTHON) scripts/drawing/draw_account.py

templates: $(COMPILED)
	@$(PYTHON) scripts/renew_templates.py

lock: $(COMPILED)
	@$(COMPILE) --all-extras --group dev --output-file requirements.txt pyproject.toml
	@$(COMPILE) --output-file $(CHECKOV_LOCK) $(CHECKOV_LOCK:.txt=.in)
	@$(PYTHON) scripts/check_lock.py

clean:
	@test ! -e $(SET_UP) || rm -rf .venv
	@test ! -e demo/.trainyard-demo || rm -rf demo
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find src tests examples benchmarks scripts -name __pycache__ -type d -prune -exec rm -rf {} +

$(SET_UP): requirements.txt pyproject.toml scripts/find_python
	@python=$$(scripts/find_python) && echo "setting up .venv with $$python" && "$$python" -m venv .venv
	@echo 'installing the locked dependencies'
	@$(PYTHON) $(PIP_INSTALL) --require-hashes -r requirements.txt
	@echo 'installing trainyard'
	@$(PYTHON) $(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(COMPILED): $(SET_UP) $(SOURCES)
	@$(PYTHON) -m compileall -q src
	@touch $@

# A place of its own: what checkov depends on and what trainyard depends on can't be had together.
$(CHECKOV): $(CHECKOV_LOCK) | $(SET_UP)
	@echo 'installing checkov'
	@rm -rf .venv/checkov && $(PYTHON) -m venv .venv/checkov
	@.venv/checkov/bin/python $(PIP_INSTALL) --require-hashes -r $<
	@touch $@
