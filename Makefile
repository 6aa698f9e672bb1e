# One line per target where it can be; the work is in hack/ and tests/.
SHELL := /bin/bash
PYTHON ?= python3
PY := .venv/bin/python
STAMP := .venv/.stamp
# Each worker of the cluster tier has a control plane of its own (about 1 GB); the tests wait more than they compute.
WORKERS ?= 2
RUN_TIER = @began=$$(date +%s); $(PY) -m pytest $(2); code=$$?; echo "tier $(1): $$(( $$(date +%s) - began )) s"; exit $$code

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-unit test-cluster test-node test-kind test-full check fmt generate audit sbom image bench cluster-up cluster-down run lock

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 18

setup: $(STAMP) ## Make .venv with everything pinned; .venv/bin/gateway-telemetry is the CLI

$(STAMP): requirements/dev.lock pyproject.toml
	@echo "[setup] making .venv (about a minute)"
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or later is needed: make PYTHON=python3.11 setup")'
	@test -x $(PY) || $(PYTHON) -m venv .venv
	@$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.lock
	@$(PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

test: setup ## Every test that this machine can run
	@code=0; for tier in test-unit test-cluster test-node; do $(MAKE) --no-print-directory $$tier || code=1; done; exit $$code

test-unit: setup ## Pure layers, the stand-in, files
	$(call RUN_TIER,unit,-n 2 --dist loadfile tests/unit)

test-cluster: setup ## Against a real kube-apiserver with kwok nodes
	@for tier in cluster gitops gateways; do $(PY) hack/tools.py --tier $$tier > /dev/null || exit 1; done
	@began=$$(date +%s); audit=$$(mktemp -d); trap 'rm -rf "$$audit"' EXIT; export GATEWAY_TELEMETRY_AUDIT=$$audit; \
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder tests/cluster; code=$$?; \
	if [ $$code = 0 ]; then echo "what the tier asked for, and what the chart grants:"; $(PY) -m pytest tests/rights; code=$$?; fi; \
	echo "tier cluster: $$(( $$(date +%s) - began )) s"; exit $$code

test-node: setup ## On a real node: kubelet, containerd, Services, DNS (needs root)
	@if why=$$($(PY) -m hack.node possible 2>&1); then $(PY) hack/tools.py --tier node > /dev/null; else echo "tier node: skipped: $$why"; fi
	$(call RUN_TIER,node,tests/node)

test-full: setup ## Long matrices whole
	@GATEWAY_TELEMETRY_FULL=1 $(MAKE) --no-print-directory test

test-kind: setup ## Cluster and node suites against a context, made with hack/kind/kind.yaml: make test-kind CONTEXT=kind-x
	@test -n "$(CONTEXT)" || { echo "name the context: make test-kind CONTEXT=kind-gateway-telemetry"; exit 2; }
	GATEWAY_TELEMETRY_TEST_CONTEXT=$(CONTEXT) $(PY) -m pytest -n 0 tests/cluster tests/node

check: setup ## Format, lint, types, architecture, generated files
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-logo
	$(PY) -m hack.generate --check

fmt: setup ## Format and fix what can be fixed
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

generate: setup ## CRDs and reference pages from the models
	$(PY) -m hack.generate

audit: setup ## Known vulnerabilities of the locked dependencies; says so where the advisories cannot be reached
	@$(PY) -m hack.audit

image: setup ## The operator's image and its bill of materials, in dist/; no registry or daemon: make image TAG=0.1.0
	$(PY) -m hack.image operator $(if $(TAG),--tag $(TAG)) -o dist/gateway-telemetry-operator.tar --sbom dist/gateway-telemetry-operator.cdx.json

sbom: setup ## The bill of materials of the image's dependencies: sbom.json
	@$(PY) -m hack.sbom -o sbom.json

bench: setup ## Measure, as ratios within one run
	@$(PY) hack/tools.py > /dev/null
	$(PY) -m tests.bench
	$(PY) -m tests.bench.planning

demo: setup ## The main job, end to end: on a real node of its own where the machine can, else without (make demo NODE=no)
	@$(PY) hack/tools.py > /dev/null
	@if [ "$(NODE)" != no ] && [ -z "$(CONTEXT)" ] && $(PY) -m hack.node_demo possible; \
	then $(PY) hack/tools.py --tier node > /dev/null && $(PY) -m hack.node_demo; else $(PY) -m hack.demo; fi

cluster-up: setup ## Start the test cluster; the last line is the path of its kubeconfig
	@$(PY) -m hack.cluster up

cluster-down: setup ## End what cluster-up started
	@$(PY) -m hack.cluster down

run: setup ## The operator in the foreground against KUBECONFIG
	.venv/bin/gateway-telemetry operator

lock: setup ## Resolve the lock files again
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header requirements/build.in -o requirements/build.lock
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml -o requirements/runtime.lock
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header pyproject.toml --group dev -o requirements/dev.lock
