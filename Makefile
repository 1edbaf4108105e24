# `make` alone lists the targets.
.DEFAULT_GOAL := help
.PHONY: help install run test chaos lint check lock audit licences sbom protos clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := service_kit fetch_kit image_kit embedder_service search_service gateway imagesearch_client imagesearch_collect imagesearch_doctor imagesearch_ingest imagesearch_cli imagesearch_web imagesearch_dev jobs benchmarks

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with PYTHON=")'
	$(PYTHON) -m venv $(VENV)

# The very versions of the lock, with LOCKED=1: on the systems it is for (see pyproject.toml).
PINNED := $(if $(LOCKED),-c $(VENV)/locked.txt)

$(VENV)/locked.txt: requirements/dev.txt | $(BIN)/python
	sed -e '/^ *--/d' -e 's/ *\\$$//' $< > $@

$(VENV)/.run: pyproject.toml $(if $(LOCKED),$(VENV)/locked.txt) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) -e '.[cli,collect,embedder,gateway,local,search,web]'
	@touch $@

$(VENV)/.dev: pyproject.toml $(if $(LOCKED),$(VENV)/locked.txt) | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PINNED) -e '.[dev]'
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

lock: $(VENV)/.dev ## Lock what each role installs, with hashes (UPGRADE=1 takes the newest)
	$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

audit: $(VENV)/.dev ## Look the locked versions up in the advisory database (needs the network)
	$(BIN)/python scripts/audit.py dev

licences: $(VENV)/.dev ## List the licences of what is deployed in docs/licences.md
	$(BIN)/python scripts/licences.py

sbom: $(VENV)/.dev ## Write a bill of materials for each role to sbom/
	$(BIN)/python scripts/sbom.py

protos: $(VENV)/.dev ## Regenerate the stubs from the .proto files
	$(BIN)/python scripts/protos.py

clean: ## Remove the environment, and the data of `make run`
	rm -rf $(VENV) .imagesearch .mypy_cache .pytest_cache .ruff_cache
