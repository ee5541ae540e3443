# Four verbs; everything else is `marquee --help` and Prefect's own commands.
PYTHON ?= python3.11
VENV := .venv
PROFILE ?= sample
DATA ?=
METADATA ?=
NAMES ?=

.PHONY: setup demo test docs bench

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(VENV)/bin/python -m pip check
	touch $@

demo: setup
	$(VENV)/bin/marquee retrain --profile $(PROFILE) $(if $(DATA),--data '$(DATA)') $(if $(METADATA),--metadata '$(METADATA)')

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	MYPYPATH=benchmarks:tests $(VENV)/bin/mypy benchmarks/*.py docs/*.py examples/*.py
	$(VENV)/bin/lint-imports
	$(MAKE) docs
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict --quiet

bench: setup
	$(VENV)/bin/python benchmarks/run.py $(NAMES)
