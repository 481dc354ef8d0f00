# Headwater's commands. `make run` shows it, `make test` proves it; `make help` lists all.
# What a command needs from Debian it installs by itself (.ci/setup); Rust comes from rustup.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

WEB := origin/web
PAGE := $(WEB)/dist/index.html

.PHONY: help run test test-long bench fmt lint page clean-data

help: ## List the commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

run: ## Encode a sample, or INPUT=movie.mp4, and serve it on 127.0.0.1:8080
	@.ci/demo $(if $(INPUT),'$(subst ','\'',$(INPUT))')

test: ## Everything that CI runs: format, lints, crates, players
	@.ci/test

test-long: ## What takes longer: real footage, fuzzing, soaks; results go to docs/test-long/
	@.ci/test-long

bench: ## Delivery against nginx, and what manifests cost: into docs/performance.md (ARGS=--quick to try)
	@.ci/setup test
	@bench/budgets.py --write $(ARGS)

fmt: ## Format the Rust code
	@cargo fmt --all

lint: ## Format check, clippy with warnings as errors
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings

page: $(PAGE) ## Build the player page, if its sources changed

# A build replaces dist/ whole; index.html is written last but for the licences.
$(PAGE): $(WEB)/build.mjs $(shell find $(WEB)/src -type f 2>/dev/null) $(WEB)/node_modules/.package-lock.json
	@npm --prefix $(WEB) run --silent build

$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	@cd $(WEB) && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

clean-data: ## Delete the demo's store and work files (./data)
	@rm -rf data
