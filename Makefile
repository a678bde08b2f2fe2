# The verbs of the hub. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.SUFFIXES:
bin := .venv/bin
sources := libs services cli tests scripts benchmarks chaos compose helm
blocks := resilience ratelimit asgi
comma := ,
space := $(subst ,, )
unexport PYTHONDONTWRITEBYTECODE                  # without compiled files every start of a service takes twice as long

.PHONY: help
help:  ## list the verbs
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: setup
setup:  ## make .venv from the locked pins (nothing to do the second time)
	@scripts/setup.sh

.PHONY: up
up: setup  ## start the hub; Ctrl-C drains and ends it
	@exec $(bin)/cortex up

.PHONY: demo
demo: setup  ## show the whole journey on the running hub (URL=http://… of another; CORTEX_TOKEN where it asks for one)
	@$(bin)/cortex demo $(URL:%=--url %)

# Tests also wait, for processes and real timeouts: three keep two cores busy.
.PHONY: test
test: setup  ## unit and integration tests, in parallel, in random order
	@$(bin)/pytest -q -n 3 --dist worksteal

.PHONY: standstill
standstill: setup  ## the tests while each process that runs them stands still again and again (ONLY=services/order)
	@exec $(bin)/python -m pytest -q -n 8 --dist worksteal -p scripts.standstill $(ONLY)

.PHONY: format
format: setup  ## format the code
	@$(bin)/ruff format $(sources)
	@$(bin)/ruff check -q --fix-only $(sources)

.PHONY: lint
lint: setup  ## format, lint, strict types, import contracts
	@$(bin)/ruff format --check -q $(sources) || { echo 'make format would change the files above'; exit 1; }
	@$(bin)/ruff check -q $(sources)
	@$(bin)/mypy libs/*/src services/*/src cli/src scripts
	@$(bin)/lint-imports --no-cache

.PHONY: check
check: lint test  ## everything a commit must pass

.PHONY: reliability
reliability: setup  ## hold the promises of time, one test after the other, on a machine that does nothing else
	@CORTEX_BOUNDS=1 $(bin)/pytest -q -m bound -n 0

.PHONY: e2e
e2e: setup  ## a hub of its own by HTTP and in a real browser: the demonstration, and the console in Chromium
	@[ -n "$$(type -P chromium chromium-browser google-chrome)" ] || { echo 'make e2e needs Chromium: apt-get install chromium' >&2; exit 1; }
	@CORTEX_E2E=1 $(bin)/pytest -q -n 0 tests/e2e/console

.PHONY: e2e-compose
e2e-compose: setup  ## the hub under Docker Compose, killed, scaled, backed up and restored; leaves nothing behind (ONLY=backup)
	@docker info >/dev/null 2>&1 || { echo 'make e2e-compose needs a Docker engine that answers: start one, or set DOCKER_HOST' >&2; exit 1; }
	@docker compose version >/dev/null 2>&1 || { echo 'make e2e-compose needs the plugin docker compose, 2.24 or later' >&2; exit 1; }
	@CORTEX_E2E_COMPOSE=1 exec $(bin)/pytest -q -n 0 -p no:randomly -p no:cacheprovider --timeout 2400 $(if $(ONLY),-k "$(ONLY)") tests/deploy/compose/real

.PHONY: e2e-k8s
e2e-k8s: setup  ## the chart on the cluster that KUBECONFIG names: upgraded under load, 20 restarts, kills (CORTEX_TAG=dev)
	@type -P kubectl >/dev/null && type -P helm >/dev/null || { echo 'make e2e-k8s needs kubectl and helm on the PATH' >&2; exit 1; }
	@kubectl get --raw /readyz --request-timeout=5s >/dev/null 2>&1 || { echo 'make e2e-k8s needs a cluster that answers: set KUBECONFIG' >&2; exit 1; }
	@CORTEX_E2E_K8S=1 $(bin)/pytest -q -n 0 -p no:randomly --timeout=1200 tests/deploy/kubernetes/real

.PHONY: screenshots
screenshots: setup  ## take the pictures of docs/console.md anew
	@CORTEX_E2E=1 $(bin)/pytest -q -n 0 tests/e2e/console/pictures.py

.PHONY: observe
observe: setup  ## Prometheus on 9091 beside `make up`, with the alert rules; Ctrl-C ends it (PORT=9091 STATE=.cortex)
	@exec $(bin)/python scripts/observe.py $(PORT:%=--port %) $(STATE:%=--state %)

.PHONY: dashboards
dashboards: setup  ## make observability/'s dashboards, alert rules and inventory of metrics anew (CHECK=1: only say what would change)
	@$(bin)/python -m scripts.dashboards $(CHECK:%=--check)

.PHONY: vendor
vendor: setup  ## fetch what the console ships of others (uPlot), checked by hash
	@$(bin)/python scripts/vendor.py

.PHONY: fuzz
fuzz: setup  ## ask a hub of its own whatever its OpenAPI document allows, and what it does not (FUZZ_EXAMPLES=300 an operation)
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),300) $(bin)/pytest -q -n 0 tests/e2e/test_api_fuzz.py

.PHONY: chaos-orders
chaos-orders: setup  ## kill, wipe and hold back what orders stand on; controls must fail (ONLY="append" SCALE=0.05: a glance)
	@exec $(bin)/python -m chaos orders $(foreach row,$(ONLY),--only $(row)) $(SCALE:%=--scale %)

.PHONY: machines
machines: setup  ## walk the state machines 100,000 steps each
	@CORTEX_STATE_STEPS=100000 $(bin)/pytest -q -n 2 -m machine

.PHONY: bench
bench: setup  ## ours against peers, to benchmarks/RESULTS.md (ONLY=compression ROUNDS=1 SECONDS=1: a part, a glance)
	@exec $(bin)/python -m benchmarks $(ONLY:%=--only %) $(ROUNDS:%=--rounds %) $(SECONDS:%=--seconds %)

.PHONY: load
load: setup  ## the gateway's read mix on a hub of its own, or on yours (URL=http://… TOKEN=… SECONDS=10 JSON=1 SAVE=1)
	@exec $(bin)/python -m benchmarks.load $(URL:%=--url %) $(TOKEN:%=--token %) $(SECONDS:%=--seconds %) $(JSON:%=--json) $(SAVE:%=--save)

.PHONY: coverage
coverage: setup  ## tests with line and branch coverage
	@$(bin)/pytest -q -n 2 --dist worksteal --cov --cov-report=term --cov-report=html

.PHONY: blocks
blocks: setup  ## every line and every branch of the building blocks is walked by their own tests
	@CORTEX_SAME=1 $(bin)/pytest -q -n 2 --dist worksteal -p no:randomly $(blocks:%=libs/cortex-core/tests/%) \
	  libs/cortex-core/tests/test_original_defects.py --cov --cov-report=
	@$(bin)/coverage report --include '$(subst $(space),$(comma),$(blocks:%=*/cortex_core/%/*))' --skip-covered --fail-under=100

.PHONY: watch
watch: setup  ## run the tests at every change, the failed ones first
	@$(bin)/watchfiles --filter python '$(bin)/pytest -q -x --ff -m "not hub"' libs services cli tests

.PHONY: build
build: setup  ## wheels of all packages, in dist/
	@rm -rf dist && mkdir dist
	@for package in libs/* services/* cli; do $(bin)/uv build -q --wheel --no-build-isolation --python $(bin)/python -o dist $$package; done
	@ls -1 dist

.PHONY: images
images: setup  ## container images of all services, or one (SERVICE=order), and what they weigh (COLD=1: without the cache)
	@$(bin)/python -m scripts.images.build $(SERVICE)

.PHONY: e2e-images
e2e-images: setup  ## prove the images whole: each by its own container, after `make images`
	@CORTEX_IMAGES=1 $(bin)/pytest -q -n 0 tests/deploy/images/containers

.PHONY: sbom
sbom: setup  ## what is in the images, as CycloneDX in dist/sbom/
	@$(bin)/python -m scripts.images.sbom $(SERVICE)

.PHONY: alone
alone: setup  ## each service by its own lock, each extra of the core: installed alone, imported, tested
	@scripts/extras.sh
	@scripts/alone.sh

.PHONY: lock
lock: setup  ## resolve the pins again (UPGRADE=1: newer ones)
	@scripts/lock.sh

.PHONY: render
render: setup  ## make k8s/, the values' schema and their reference anew from the chart (needs no helm)
	@$(bin)/python -m scripts.chart

.PHONY: clean
clean:  ## remove what can be made again (the hub's state stays)
	@rm -rf .venv benchmarks/.peers dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis htmlcov .coverage
