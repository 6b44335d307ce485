# Two commands matter: `make demo` and `make test`. Both set up everything they need.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
export UV_PYTHON_DOWNLOADS := never
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
# Three processes, a file to one of them: tests wait for the local cloud much of the time.
PYTEST := $(BIN)/python -m pytest -n 3 --no-loadscope-reorder
# uv from the PATH when it is the pinned version, else a private copy.
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements-tools.lock)
UV := $(shell if [ "$$(uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" ]; then command -v uv; else echo .tools/bin/uv; fi)
MEMBERS := shared $(wildcard services/*) cli infra/local
STACK ?= glaciate
TAG ?= latest
IMAGE_PLATFORM ?= linux/arm64
MANIFESTS := pyproject.toml $(addsuffix /pyproject.toml,$(MEMBERS))

.PHONY: help setup demo test test-fast test-all check format up down build build-aws images docs bench lock tools clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.tools/bin/uv: requirements-tools.lock
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-tools.lock
	@touch $@

.venv/ready: requirements-dev.lock $(MANIFESTS) | $(filter .tools/bin/uv,$(UV))
	[ -x $(BIN)/python ] || $(UV) venv --quiet --python $(PYTHON) .venv
	$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements-dev.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-deps $(addprefix -e ./,$(MEMBERS))
	@touch $@

setup: .venv/ready ## install everything into .venv

demo: setup build ## archive real files on the local cloud, restore some, compare them, show what it cost
	$(BIN)/python -m glaciate_local.demo

test: check ## everything CI asks: check, then all tests but the very long ones
	$(PYTEST) -m "not very_slow"

test-fast: setup build ## unit, contract, infra and flow tests but the slow ones: under two minutes
	$(PYTEST) -m "not slow and not very_slow" tests/unit tests/contract tests/infra tests/flow

test-all: check ## every test, the very long ones too
	$(PYTEST)

check: setup build ## linters, types, import contracts, templates, lock files and generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cfn-lint infra/template.yaml infra/services/*.yaml
	$(BIN)/python infra/build/locks.py --check --uv $(UV)
	$(BIN)/python infra/build/docs.py --check
	$(BIN)/python infra/build/gateway.py --check

format: setup ## format the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: setup build ## start the local cloud in the background and deploy the template to it
	$(BIN)/python -m glaciate_local.up

down: ## stop exactly what `make up` started
	$(BIN)/python -m glaciate_local.down

build: setup ## the Lambda bundles and the wheels the images install
	$(BIN)/python infra/build/build.py --uv $(UV)

build-aws: setup ## the Lambda bundles for AWS, and the templates beside them, in build/aws
	$(BIN)/python infra/build/build.py --uv $(UV) --aws

images: build ## the workers' images (needs docker), REGISTRY=<account>.dkr.ecr.<region>.amazonaws.com STACK=glaciate TAG=latest
	for service in packer unpacker; do \
	    docker build --platform $(IMAGE_PLATFORM) --file services/$$service/Dockerfile --tag $(REGISTRY)/$(STACK)-$$service:$(TAG) .; \
	    docker push $(REGISTRY)/$(STACK)-$$service:$(TAG); \
	done

docs: setup ## write the generated files: docs/flow.md, docs/events, docs/openapi.json, the end of infra/services/api.yaml
	$(BIN)/python infra/build/docs.py
	$(BIN)/python infra/build/gateway.py

bench: setup ## measure, print ratios, write bench/results.json and the tables of docs/performance.md
	$(BIN)/python bench/list.py
	$(BIN)/python bench/pack.py
	$(BIN)/python bench/restore.py
	$(BIN)/python bench/report.py

lock: setup ## compile every requirements lock file again
	$(BIN)/python infra/build/locks.py --uv $(UV)

clean: ## forget everything built, installed or started here
	[ ! -x $(BIN)/python ] || $(BIN)/python -m glaciate_local.down
	rm -rf .venv .tools build .glaciate
