# `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help install run test chaos lint check protos clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := service_kit fetch_kit image_kit embedder_service search_service gateway imagesearch_client imagesearch_collect imagesearch_ingest imagesearch_cli imagesearch_web imagesearch_dev jobs benchmarks

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli,collect,embedder,gateway,local,search,web]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.run

install: $(VENV)/.run ## Install what `make run` needs into .venv

run: $(VENV)/.run ## Start everything, index sample photos (or IMAGES=folder), show two searches; Ctrl-C stops
	@$(BIN)/python -m imagesearch_dev.stack $(if $(IMAGES),--images '$(IMAGES)') $(if $(MODEL),--model '$(MODEL)') $(if $(PORT),--port '$(PORT)')

test: $(VENV)/.dev ## Run the whole test suite
	$(BIN)/python -m pytest

chaos: $(VENV)/.dev ## Break everything at full size (hours), or ONLY=test_kills.py; figures go into JSON=chaos.json
	CHAOS=1 CHAOS_JSON='$(or $(JSON),chaos.json)' $(BIN)/python -m pytest $(if $(ONLY),tests/chaos/$(ONLY),tests/chaos)

lint: $(VENV)/.dev ## Check style, types, contracts, and that the stubs are up to date
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(PACKAGES:%=-p %)
	$(BIN)/python scripts/protos.py --check
	$(BIN)/python scripts/lint_protos.py

check: lint test ## Everything that must pass before a change is done

protos: $(VENV)/.dev ## Regenerate the stubs from the .proto files
	$(BIN)/python scripts/protos.py

clean: ## Remove the environment, and the data of `make run`
	rm -rf $(VENV) .imagesearch .mypy_cache .pytest_cache .ruff_cache
