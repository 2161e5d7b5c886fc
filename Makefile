.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin

##@ Use
.PHONY: run
run: ## Start the whole platform on http://localhost:8000 (PORT=… DATA_DIR=… move it)
	@scripts/install allinone $(VENV)
	@exec $(BIN)/python -m allinone

##@ Work on it
.PHONY: install test test-compiled test-fast check format lock
install: ## Make the virtual environment with everything development needs
	@scripts/install dev $(VENV)

test: install ## Run every test against real PostgreSQL, Redis, RabbitMQ and SMTP
	@$(BIN)/python -m pytest -n 3 --dist loadfile

test-compiled: install ## Run the tests of gateway and chassis on what the gateway's image runs
	@$(BIN)/python scripts/compile.py
	@cd build/compiled && $(abspath $(BIN))/python -m pytest -n 3 --dist loadfile -m "not interpreted" chassis gateway

test-fast: install ## Run the tests that need no installed server (under 30 s)
	@$(BIN)/python -m pytest -q -m "not server and not real and not slow"

check: install ## Lint, format, types, import contracts: exactly what CI runs
	@scripts/check $(BIN)

format: install ## Put the code into shape
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: ## Compile requirements/*.txt anew from pyproject.toml
	@scripts/lock

.PHONY: bench-gateway
bench-gateway: install ## Compare the gateway with HAProxy, nginx, fastify, Starlette (BENCH="--rounds 3 …")
	@$(BIN)/python -m bench.gateway $(BENCH)

##@ Databases
.PHONY: migrate
migrate: install ## Bring the four databases up to date (scripts/migrate says from which variables)
	@scripts/migrate $(BIN)

##@ Help
.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
