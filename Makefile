# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
# torch's CPU build: make demo TORCH_INDEX=<address of the CPU index, see the installation page of pytorch.org>
TORCH_INDEX ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# pip-audit and what it needs, in an environment of its own: only `make lint` waits for it
AUDIT := .venv-audit
# what a cluster needs beside it, and a server of S3: an environment that lies over the first
SERVICES := .venv-services
SERVICES_READY := $(SERVICES)/.ready
# the search behind the door takes minutes, and runs with the services
DOOR := tests/integration/user_ids/test_behind_the_door.py
# processes of pytest: make test WORKERS=4
XDIST := -n $(or $(WORKERS),2) --dist loadgroup --no-loadscope-reorder

.PHONY: audit demo docs test test-unit test-slow test-services test-fast lint bench up down lock clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else "recpipe needs Python 3.11; name it: make PYTHON=/path/to/python3.11 …")'
	@echo "Installing into $(VENV) (once; some minutes the first time)"
	@date +%s > .install-started
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --upgrade "pip>=26"
	$(if $(TORCH_INDEX),$(BIN)/pip install -q --index-url $(TORCH_INDEX) "$$(grep -o '^torch==[0-9.]*' requirements.txt)")
	$(BIN)/pip install -q --no-compile -r requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo $$(( $$(date +%s) - $$(cat .install-started) )) > $(VENV)/.install-seconds; rm .install-started
	@touch $@

demo: $(READY)  ## the main job on the shipped shop: history, training, ten nights, outcomes
	@$(BIN)/recpipe demo

test: lint  ## lint, unit and integration tests, on two cores; measures what the unit tests run
	$(BIN)/python -m pytest tests/unit $(XDIST) --cov --cov-report=
	@echo "The unit tests run $$($(BIN)/coverage report --format=total) % of the lines of recpipe/ ($(BIN)/coverage report names the others)."
	$(BIN)/python -m pytest tests/integration --ignore=$(DOOR) -m "not slow" $(XDIST) --durations 10

test-slow: $(READY)  ## the integration tests that run a whole Airflow, kill and rerun, or read long logs
	$(BIN)/python -m pytest tests/integration --ignore=$(DOOR) -m slow $(XDIST) --durations 10

test-unit: $(READY)  ## the tests of one thing each, in under a minute
	$(BIN)/python -m pytest tests/unit $(XDIST)

$(SERVICES_READY): $(READY) docker/requirements-cluster.txt tests/services/requirements.txt
	$(BIN)/python -m venv $(SERVICES)
	echo "import site; site.addsitedir('$(CURDIR)/$(VENV)/lib/python3.11/site-packages')" > $(SERVICES)/lib/python3.11/site-packages/main.pth
	$(BIN)/pip --python $(SERVICES)/bin/python install -q --disable-pip-version-check --no-compile --no-deps -r docker/requirements-cluster.txt -r tests/services/requirements.txt
	@touch $@

test-services: $(SERVICES_READY)  ## the same on Postgres, Redis, Celery and S3: installs them with apt-get, if missing
	tests/services/install.sh
	$(SERVICES)/bin/python -m pytest tests/services --durations 10
	RECPIPE_TEST_DOOR=services $(BIN)/python -m pytest $(DOOR)
	RECPIPE_TEST_INSTALL=index $(BIN)/python -m pytest tests/integration/install/test_wheel.py

test-fast: test-unit

lint: $(READY)  ## ruff, ruff format, mypy --strict, codespell, hadolint, pip-audit
	@log=$$(mktemp); $(MAKE) -s audit > $$log 2>&1 & audit=$$!; \
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/codespell $$(git ls-files) && $(BIN)/lint-imports --no-cache --no-logo && $(BIN)/mypy; others=$$?; \
	wait $$audit; audit=$$?; cat $$log; rm $$log; exit $$((others + audit))
	@if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint docker/Dockerfile; else echo "hadolint comes for Linux on x86-64 alone: docker/Dockerfile was not looked at"; fi

audit: $(READY) $(AUDIT)/.ready  ## known vulnerabilities of the pinned packages; .ci/exceptions.toml says which are left standing, and why
	@$(BIN)/python .ci/audit.py $(AUDIT)/bin/pip-audit

$(AUDIT)/.ready: .ci/requirements-audit.txt
	@$(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/pip install -q --disable-pip-version-check --no-deps -r $< && touch $@ || echo "pip-audit could not be installed."

bench: $(READY)  ## timings, as ratios to a peer in the same run
	$(BIN)/python -m benchmarks

docs: $(READY)  ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict  # --quiet would let warnings pass

up: $(READY)  ## start the Airflow and MLflow pages of the demo
	@$(BIN)/recpipe up

down: $(READY)  ## stop them
	@$(BIN)/recpipe down

lock: $(READY)  ## compile the locks from pyproject.toml
	$(BIN)/python .ci/lock.py

clean:  ## remove the environments and the demo's home
	rm -rf $(VENV) $(SERVICES) $(AUDIT) .recpipe
