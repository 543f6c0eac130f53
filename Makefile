# Two commands do everything: `make demo` and `make test`. Both set up .venv themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
# A process for each processor, up to four of 1.5 GB; whole files, as their fixtures are shared.
WORKERS ?= -n logical --maxprocesses 4 --dist loadfile

.PHONY: demo test lint types contracts unit clients clean

demo: $(VENV)/.installed
	$(BIN)/kosmoscope describe examples/photos/*.jpg -o $(DEMO) --model pocket \
	  --prompt brief --prompt detailed --overwrite
	$(BIN)/kosmoscope segment $(DEMO) --overwrite
	$(BIN)/kosmoscope gallery $(DEMO) --title "Sample photos, described by pocket"

test: lint types contracts unit

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev
	$(BIN)/mypy

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

unit: $(VENV)/.dev clients
	$(BIN)/python -m pytest $(WORKERS)

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[segment]'
	touch $@

# pip before 25.1 cannot read dependency groups, so it is brought up to date first.
$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	touch $@

# Programs that pin libraries which ours does not have get an environment of their own: one to two
# minutes, and 1.3 GB. FiftyOne's part of it looks for its database's download and does without.
clients: $(VENV)/clients/.installed

$(VENV)/clients/.installed: $(VENV)/.dev pyproject.toml
	$(BIN)/python -m venv $(VENV)/clients
	$(VENV)/clients/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(VENV)/clients/bin/python -m pip install --quiet --disable-pip-version-check --group clients --editable .
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
