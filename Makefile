SHELL := /bin/bash
# The commands that the README names. Each is one script, so that it can be read, and run without make.

.DEFAULT_GOAL := help
.PHONY: help run test check test-matrix fuzz audit bench build package test-package watch lint clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## build the console and start it on the demo hospital; ARGS="--listen 127.0.0.1:8000" hands options on
	@scripts/run $(ARGS)

test: ## everything that must hold before a change is taken
	@scripts/test

check: ## formatting, clippy and the unit tests of the server: what to run while working
	@scripts/check

test-matrix: ## the tests of databases on MySQL 5.6 to 9, MariaDB 10.5 to 11.8, PostgreSQL 9.6 to 19; ARGS="mysql-5.7" chooses
	@scripts/setup bench
	@scripts/test-matrix $(ARGS)

fuzz: ## try the parsers of what others wrote on odd inputs, a minute each; ARGS="--seconds 10 payload" chooses
	@scripts/fuzz $(ARGS)

audit: ## measure every page that people use with Lighthouse: the median of five runs; ARGS="--runs 3 list" chooses
	@scripts/audit $(ARGS)

bench: ## measure the figures of docs/performance.md; ARGS="--help" says what can be chosen
	@scripts/bench $(ARGS)

build: ## make the release binary, target/release/atomfeed-console
	@scripts/setup build
	@scripts/build

package: ## make tarballs and Debian packages with static binaries for x86_64 and arm64, in target/package
	@scripts/package

test-package: ## install the Debian package in a clean Debian and run it; start the arm64 binary under qemu-user
	@scripts/test-package

watch: ## the demo hospital in a debug build that is made again at every change
	@scripts/setup watch
	@. scripts/common.sh && cargo leptos watch -- demo $(ARGS)

lint: ## formatting, scripts, clippy, documentation and dependencies only
	@scripts/setup test
	@scripts/lint

clean: ## remove what building and testing made in this clone; the shared build folder stays
	rm -rf target end2end/node_modules end2end/test-results
