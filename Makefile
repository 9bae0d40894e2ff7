# Setup, demo, tests and lint; needs Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# glibc returns large buffers to the system after every step and faults their pages in again; with
# huge pages this takes up to 3x less time.
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: demo test test-all lint format lock clean

demo: $(READY)
	$(BIN)/depthjax demo

# Fast tests.
test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow"

# All tests, as in CI: also fault injection, launchers, ahead-of-time plans and large networks.
test-all: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# requirements.lock has the tested versions, pyproject.toml the supported ranges.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra dev --no-annotate \
		--custom-compile-command 'make lock' pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .cache demo
