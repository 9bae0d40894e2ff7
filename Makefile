# Everything a user or the continuous integration needs, from a machine with Python 3.11+ and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# On Linux the default allocator gives the compiler's large buffers back to the system after every
# step and pays for each page again; huge pages make that up to three times cheaper.
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: demo test test-all lint format lock clean

demo: $(READY)
	$(BIN)/depthjax demo

# What a day's change can break.
test: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -m "not slow"

# And what takes long: faults, launchers, ahead-of-time plans, large networks. CI runs it.
test-all: lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tested versions; pyproject.toml has the ranges that should work as well.
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
