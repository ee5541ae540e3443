# Commands for development. Another Python: `make test PYTHON=python3.13 VENV=.venv-3.13`.
PYTHON ?= python3.11
VENV ?= .venv
PROFILE ?= sample
DATA ?=
METADATA ?=
NAMES ?=
REST ?= nightly

# The versions that were tested together on this Python.
CONSTRAINTS := constraints/python$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt

# Three workers for two cores: while one waits for a server or a killed process, another computes.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses=3 --dist=worksteal

.PHONY: setup demo test test-all docs bench constraints

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	$(VENV)/bin/python -m pip check
	touch $@

demo: setup
	$(VENV)/bin/marquee retrain --profile $(PROFILE) $(if $(DATA),--data '$(DATA)') $(if $(METADATA),--metadata '$(METADATA)')

# Tests whose tool (a browser, radosgw, real data) is absent are deselected; the end of the report says which.
test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(MAKE) docs
	$(PYTEST)

# All tests, with every tool required: those of `test`, then the slow ones. REST='nightly and radosgw' takes fewer of these.
test-all: export MARQUEE_REQUIRE_TOOLS = 1
test-all: test
	$(PYTEST) -m '$(REST)'

docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

bench: setup
	$(VENV)/bin/python benchmarks/run.py $(NAMES)

# Pins the newest versions that pyproject.toml allows, in a new VENV: `make constraints PYTHON=python3.13 VENV=.venv-new`.
constraints:
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	$(VENV)/bin/python -m pip freeze --exclude-editable > $(CONSTRAINTS)
