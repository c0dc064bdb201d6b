# Everything works in a fresh clone with Python 3.11 or newer and its venv module; nothing else is needed.
# Another Python:  make demo PYTHON=python3.12      Another environment:  make test VENV=/path/to/venv

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

# not those that want something of yours: their usage names it, `python bench/NAME.py RUN …`
BENCHES := $(sort $(shell grep -L "^    python bench/[a-z0-9_]*\.py [A-Z]" bench/[a-z]*.py))

.DEFAULT_GOAL := help
.PHONY: help install dev demo serve test check format docs bench clean

help:  ## what can be made
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

install: $(VENV)/.installed  ## an environment in .venv with polyseme in it

dev: $(VENV)/.installed-dev  ## the same with the tools for tests and checks

demo: $(VENV)/.installed  ## pretrain a model on text that Python brings along, about three minutes, and look at it
	$(BIN)/polyseme demo -o runs/demo

serve: $(VENV)/.installed-serve  ## serve the runs of runs/ at http://127.0.0.1:8421/ until Ctrl-C
	@test -n "$$(ls runs/*/run.json 2>/dev/null)" || { echo 'there is no run yet: make demo'; exit 1; }
	set --; for run in runs/*/run.json; do set -- "$$@" "$${run%/run.json}"; done; $(BIN)/polyseme serve "$$@" $(ARGS)

# In the order of their folders, not the files with most tests first: the long ones (docs, end_to_end) come early, so that
# the last minute is not one file on one core. Writing asserts anew, so that they show values, takes every process 12 of
# its 22 seconds before the first test: what fails runs again with it.
test: $(VENV)/.installed-dev  ## all tests
	$(BIN)/python -m pytest --assert=plain -n logical --dist loadfile --no-loadscope-reorder $(ARGS) \
	  || { $(BIN)/python -m pytest --last-failed --last-failed-no-failures none $(ARGS); exit 1; }

check: $(VENV)/.installed-dev  ## style, types and the floors of the house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev  ## mend style where a tool can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed-docs  ## the guide, the reference and the results as a site, English and Chinese
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html (中文: build/site/zh/index.html); it needs no server and no network."

bench: $(VENV)/.installed-dev  ## every comparison with a peer that needs no argument, one after another
	@set -e; for script in $(BENCHES); do echo "== $$script"; $(BIN)/python $$script; done

clean:  ## remove the environment and tools' caches; runs/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist

# The stamps make an installation happen once and again when pyproject.toml changes. The larger one covers the smaller.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "polyseme needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-serve: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[serve]'
	@touch $(VENV)/.installed $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $(VENV)/.installed $(VENV)/.installed-serve $@

$(VENV)/.installed-docs: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@
