# What a checkout needs, and nothing that a spec could depend on. `make help` lists the targets.
#
# PYTHON    the interpreter that .venv is made with: 3.11 or newer; .venv-training takes 3.11 or 3.12
# PIP_ARGS  more arguments for pip, such as --extra-index-url with PyTorch's index of CPU builds
# WORKERS   processes that the tests run in
# CLUSTERS  processes that the tests with Slurm run in, each with a cluster of its own: they wait more than they work
# DATA      a Parquet file of documents for `make bench`

PYTHON ?= python3
PIP_ARGS ?=
WORKERS ?= 2
CLUSTERS ?= 2
DATA ?=

BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest
SPECS := specs/*.py specs/ablations/*.py
LOCK := env -u CORPUS $(BIN)/ocspec lock --out tests/golden/specs
TRAINING := .venv-training/bin/python
TRAINING_STAMP := .venv-training/.installed

# A worker of pytest gets one thread for torch: two workers with two threads each on two cores are slower than one.
test test-slow test-slurm test-training rehearse: export OMP_NUM_THREADS = 1
# Threads that wait for one another sleep: spinning, they take the processors from other processes of the tests.
test test-slow test-slurm test-training rehearse: export OMP_WAIT_POLICY = PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install install-training quickstart rehearse test test-slow test-slurm test-training test-all check \
	locks bench docs clean distclean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-16s %s\n' "$$name" "$$text"; done

install: $(STAMP) ## make .venv with everything that development needs

$(STAMP): pyproject.toml constraints.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'error: $(PYTHON) is missing or older than Python 3.11' >&2; \
		echo '  fix: make install PYTHON=python3.12, or whatever a newer one is called here' >&2; exit 1; }
	@"$(PYTHON)" -m venv .venv || { \
		echo 'error: $(PYTHON) cannot make a virtual environment' >&2; \
		echo '  fix: on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 1; }
	@echo 'installing into .venv; the first time takes a minute or more'
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(BIN)/python -m pip install -qq $(PIP_ARGS) --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

install-training: $(TRAINING_STAMP) ## make .venv-training, in which NeMo and Megatron train

# torch brings what its build needs: nothing more on a CPU, NVIDIA's libraries with CUDA. All else is installed as it
# stands in the list: a resolver would choose other versions, with which NeMo does not train. Bytecode is left to the
# first import, which needs a part of it.
$(TRAINING_STAMP): constraints-training.txt
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { \
		echo 'error: $(PYTHON) is missing or neither Python 3.11 nor 3.12, for which constraints-training.txt has wheels' >&2; \
		echo '  fix: make install-training PYTHON=python3.12, or whatever one of them is called here' >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear .venv-training || { \
		echo 'error: $(PYTHON) cannot make a virtual environment' >&2; \
		echo '  fix: on Debian and Ubuntu, apt-get install python3-venv' >&2; exit 1; }
	@echo 'installing into .venv-training, 1.6 GB; the first time takes several minutes'
	@$(TRAINING) -m pip install -qq $(PIP_ARGS) --no-compile --constraint constraints-training.txt setuptools torch
	@$(TRAINING) -m pip install -qq $(PIP_ARGS) --no-compile --no-deps --requirement constraints-training.txt
	@$(TRAINING) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $(TRAINING_STAMP)

quickstart: install ## run the whole recipe in miniature on real code; ends with the path of the report
	$(BIN)/ocspec run specs/opencoder_mini.py

test: install ## the default suite, with coverage: no network, no Slurm, nothing over 20 s
	$(PYTEST) -q -n $(WORKERS) --dist loadfile -m 'not slow and not network and not slurm' --cov --cov-report=
	@$(BIN)/coverage report | sed -n '$$s/^TOTAL/coverage/p'

test-slow: install ## what the default suite leaves out: slow tests and those that need a network
	$(PYTEST) -q -n $(WORKERS) --dist loadfile -m '(slow or network) and not slurm'

test-slurm: install ## a real Slurm on this machine; installs Debian's packages, which takes root
	sh tests/slurm/install.sh
	$(PYTEST) -q -n $(CLUSTERS) -m slurm tests

test-training: install-training ## what needs NeMo or Megatron, in .venv-training: the back ends train the same job
	$(TRAINING) -m pytest -q -n $(WORKERS) --dist loadfile tests/stacks tests/runtime/training/test_imports.py \
		tests/compiler/emit/test_megatron.py tests/runtime/data/test_indexed.py

rehearse: install install-training ## every stage of the 8B spec, shrunk, on NeMo and on Megatron, from nothing
	rm -rf build/rehearsal
	$(BIN)/ocspec run specs/opencoder_8b.py --smoke --profile training --store build/rehearsal/store
	$(BIN)/ocspec run specs/opencoder_megatron.py:experiment --smoke --profile training --store build/rehearsal/store

test-all: test test-slow test-slurm test-training ## every test

check: install ## format, lint, types, the import contract and the locks of the experiments that ship
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(LOCK) --check $(SPECS)

locks: install ## write what the experiments that ship resolve to, to be read in the diff before it is committed
	$(LOCK) $(SPECS)

bench: install ## every benchmark beside its peer; on DATA, or on what quickstart fetched
	@set -e; data='$(DATA)'; \
	[ -n "$$data" ] || data="$$($(BIN)/python scripts/benchmark_documents.py)"; \
	$(BIN)/python benchmarks/near_dedup.py "$$data"; \
	$(BIN)/python benchmarks/tokenization.py "$$data"; \
	$(BIN)/python benchmarks/train_step.py

docs: install ## generate docs/reference from the command line, the tables of rules and what verbs print
	$(BIN)/python scripts/make_cli_reference.py
	$(BIN)/python scripts/make_rules_reference.py
	$(BIN)/python scripts/make_checks_reference.py
	$(BIN)/python scripts/make_outputs.py

clean: ## remove caches and compiled plans; keep the environments and the store
	rm -rf build dist *.egg-info htmlcov .coverage .coverage.* \
		.pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -path './.venv*' -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## remove both environments and the store (.ocspec), too
	rm -rf .venv .venv-training .ocspec
