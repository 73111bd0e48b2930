# `make demo` and `make test` each start from a fresh clone: Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: install install-test demo demo-zero test test-all lint gpu-test gpu-bench clean

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is wanted, found " + sys.version.split()[0] + "; name another: make install PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	@# torch first: a package that wants any torch would bring another build of it
	$(VENV)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

.venv/installed-test: .venv/installed requirements-test.txt
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

demo: install
	$(VENV)/python scripts/run_demo.py

# The same with DeepSpeed: two processes share the model.
demo-zero: install
	$(VENV)/python scripts/run_demo.py --zero

# One worker a core, a file to a worker, in the order of tests/conftest.py.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder

test: install-test
	$(VENV)/python -m pytest $(PARALLEL)

# Also what takes long, marked so.
test-all: install-test
	$(VENV)/python -m pytest $(PARALLEL) -m ""

lint: install-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

# These two use the Python at hand and install nothing: torch with CUDA, Transformers and PEFT.
gpu-test:
	PYTHONPATH=. $(PYTHON) -m pytest -m cuda tests

gpu-bench:
	PYTHONPATH=. $(PYTHON) scripts/benchmark.py --device cuda

clean:
	rm -rf .venv runs build *.egg-info
