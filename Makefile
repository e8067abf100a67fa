.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

# `make demo DEMO="--trials 6"` passes options to `scaletune run`, `make test TESTS="tests/core -k asha"` to pytest,
# `make bench BENCH="smooth --seeds 0-2"` to the benchmark.
DEMO ?=
TESTS ?=
BENCH ?=

# How long `make bench-chaos` runs, and from which seed; without one it draws and prints its own.
TRIALS ?= 1000
SEED ?=

# The image of the operator; `make operator-image BUILD="docker build" BASE=...` chooses with what and upon what.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/scaletune-operator:$(VERSION)
BUILD ?= buildah build
BASE ?=

help:  ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

demo: .venv/demo  ## Tune a small GPT on this machine, with no cluster: a few minutes.
	$(BIN)/scaletune run docs/examples/gpt-demo.yaml $(DEMO)
	@printf '\nThe configuration one would have taken without a search, trained in full:\n'
	$(BIN)/scaletune run docs/examples/gpt-demo.yaml --directory runs/gpt-default --set policy=null $(DEMO) --trials 1
	@echo
	$(BIN)/scaletune compare runs/gpt-demo runs/gpt-default

# Given on make's command line, KUBECONFIG names the cluster to test against; else one is started.
test: .venv/test  ## Run all tests, on a real Kubernetes where there is root.
	$(if $(filter command line,$(origin KUBECONFIG)),SCALETUNE_TEST_KUBECONFIG=$(abspath $(KUBECONFIG))) \
	$(BIN)/python -m pytest $(TESTS)

check: lint types test  ## Everything that must be green before a push.

lint: .venv/test  ## Check formatting, style and the import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: .venv/test  ## Format the code and mend what can be mended.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: .venv/test  ## Check the types strictly.
	$(BIN)/mypy

crds: .venv/test  ## Generate crds/, and the chart's copy of it, from the API types.
	$(BIN)/python -m scaletune.api.schema crds helm/scaletune/crd

dashboards: .venv/test  ## Generate the chart's Grafana dashboards.
	$(BIN)/python -m helm.dashboards helm/scaletune/dashboards

operator-image:  ## Build the operator's image, as IMAGE.
	$(BUILD) --file operator/Dockerfile --tag $(IMAGE) $(if $(BASE),--build-arg BASE=$(BASE)) .

bench-operator: .venv/test  ## Measure what an idle operator costs, with up to 10,000 Trials present.
	$(BIN)/python -m tests.bench.operator_idle $(BENCH)

bench-latency: .venv/test  ## Measure how fast the operator acts, on a real Kubernetes.
	$(BIN)/python -m tests.bench.operator_latency $(BENCH)

bench: .venv/test  ## Measure the search on recorded trainings, beside other tuners' results.
	$(BIN)/python -m tests.bench $(BENCH)

diagram: .venv/test  ## Draw the life of a trial into docs/architecture.md from its table.
	$(BIN)/python -m scaletune.core.diagram docs/architecture.md

bench-chaos: .venv/test  ## Kill everything at random while many trials run on a real Kubernetes: TRIALS=1000, SEED=...
	SCALETUNE_CHAOS_SEVERE=1 SCALETUNE_CHAOS_TRIALS=$(TRIALS) SCALETUNE_CHAOS_SEED=$(SEED) \
	$(BIN)/python -m pytest -s tests/cluster/test_chaos.py

cluster-tools: .venv/test  ## Install what the test cluster needs from Debian, and build the rest.
	$(BIN)/python -m tests.cluster tools

cluster-up: .venv/test  ## Start a real one-node Kubernetes on this machine and leave it standing.
	$(BIN)/python -m tests.cluster up

cluster-down: .venv/test  ## End what `make cluster-up` has started.
	$(BIN)/python -m tests.cluster down

clean:  ## Remove the environment and everything that was generated.
	rm -rf .venv runs build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis

.venv/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Scaletune needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "python3 -m venv failed; on Debian: apt install python3-venv"; rm -rf .venv; exit 1; }

.venv/demo: pyproject.toml | .venv/bin/pip
	@echo "Installing Scaletune and PyTorch into .venv: several GB, a few minutes, once"
	$(BIN)/python -m pip install --quiet --editable '.[trainer]'
	@touch $@

.venv/test: pyproject.toml | .venv/bin/pip
	@echo "Installing Scaletune, PyTorch and the test tools into .venv: several GB, a few minutes, once"
	$(BIN)/python -m pip install --quiet --editable '.[kubernetes,optuna,trainer,dev]'
	@touch $@ .venv/demo

.PHONY: help bench-chaos bench-latency demo test check lint format types crds dashboards operator-image bench bench-operator diagram cluster-tools cluster-up cluster-down clean
