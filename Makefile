# Every target installs what it needs: `make demo` and `make test` work on a fresh clone.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
IMAGE ?= flyball:$(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' autoscaler/__init__.py)

.PHONY: help setup servers check format test e2e faults image image-check demo bench simulate simulate-check crds requirements proto clean

help: ## Show this list
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Flyball needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "creating .venv with everything pinned (about half a minute)" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: $(INSTALLED) ## Create .venv with everything pinned

servers: ## Install the real servers the tests talk to (Debian, as root; otherwise names them)
	@.ci/install-debian-packages

check: $(INSTALLED) ## Format, lint, types, import rules, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/flyball crds --check deploy/crds

format: $(INSTALLED) ## Format and fix what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: $(INSTALLED) servers ## All tests, with real servers where this machine has them (JOBS=2)
	$(BIN)/pytest --numprocesses $(or $(JOBS),2) --dist loadfile $(PYTEST_ARGS)

e2e: $(INSTALLED) servers ## Tests on a real control plane, built once with Go or found (docs/guides/testing.md)
	@$(BIN)/python -m tests.e2e.controlplane
	$(BIN)/pytest --e2e tests/e2e tests/contract/apiserver $(E2E_ARGS)

faults: $(INSTALLED) servers ## Faults of a real control plane, twenty of each (about 20 minutes)
	@$(BIN)/python -m tests.e2e.controlplane
	$(BIN)/pytest --e2e tests/e2e/faults --fault-seeds $(or $(SEEDS),20) $(E2E_ARGS)

image: ## Build the container image with docker or podman
	@engine=$$(for name in docker podman; do $$name info >/dev/null 2>&1 && { echo $$name; break; }; done); \
	  [ -n "$$engine" ] || { echo "neither docker nor podman runs here; make image-check needs neither"; exit 1; }; \
	  $$engine build --tag $(IMAGE) .

image-check: $(INSTALLED) ## Follow the Dockerfile without a container engine and run what comes out
	$(BIN)/pytest tests/image $(IMAGE_CHECK_ARGS)

demo: $(INSTALLED) ## Controller and embedded cluster under a day of load, live, until Ctrl-C
	@$(BIN)/flyball demo $(DEMO_ARGS)

bench: $(INSTALLED) servers ## Benchmarks: ratios against a named baseline of the same run
	$(BIN)/python benchmarks/decide.py
	$(BIN)/python benchmarks/simulation_speed.py
	$(BIN)/python benchmarks/grouped_reads.py
	$(BIN)/python benchmarks/webhook.py
	$(BIN)/python benchmarks/many_objects.py

simulate: $(INSTALLED) ## The standard benchmark of autoscalers, written to docs/benchmark (WORKERS=2)
	$(BIN)/python -m simulations.benchmark --workers $(or $(WORKERS),$(shell nproc)) --output docs/benchmark

simulate-check: $(INSTALLED) ## The same on a Dask cluster of this machine; fails unless every figure equals the committed one (WORKERS=2)
	$(BIN)/python -m simulations.benchmark --cluster $(or $(WORKERS),$(shell nproc)) --check --output docs/benchmark

crds: $(INSTALLED) ## Write deploy/crds from the API models
	$(BIN)/flyball crds --output deploy/crds

requirements: $(INSTALLED) ## Re-pin requirements/ from pyproject.toml
	.ci/compile-requirements

proto: $(INSTALLED) ## Generate the messages of the external scaler protocol
	$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. autoscaler/sdk/externalscaler/externalscaler.proto

clean: ## Remove what the other targets made
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
