# Every target but `help` sets up .venv first, if it is missing or older than the files that it is made from.
# make PYTHON=/path/to/python TARGET gives .venv that environment's own torch and packages; nothing is written into it.

STAMP := .venv/ready
RUN := .venv/bin/python
LKDENSE := .venv/bin/lkdense
# Tests share the cores; each of their processes takes one thread.
PYTEST := $(RUN) -m pytest --numprocesses auto --maxprocesses 8 --durations 10
# The rooms that need torch alone; the workflow of GitHub runs `make core` where no mm package is installed.
CORE := tests/ops tests/layers tests/checkpoints tests/training/test_sparse_masks.py

help:
	@echo 'make demo       train and test two small models on synthetic data, with pictures and a table'
	@echo 'make check      lint and the tests of ops, layers, checkpoints and training arithmetic: two minutes'
	@echo 'make test       all tests but the slow ones: seven minutes; ARGS="-k slak -x" goes to pytest'
	@echo 'make test-slow  all tests'
	@echo 'make bench      time the depthwise convolution; ARGS="--shapes 31x31" goes to benchmarks/depthwise.py'
	@echo 'make study      a small study of kernel sizes, with its report, in work_dirs/reach_small'
	@echo 'make survey     try the swap on every config of mmseg and mmdet; ARGS=--again begins anew'
	@echo 'make lint       rules and format by ruff, types by pyright'
	@echo 'make docs       the pages, into build/docs; a broken link is an error'
	@echo 'make .venv      the set-up only'
	@echo 'PYTHON=/path/to/python  an environment whose torch is to be used'

.venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt dev/setup_venv.py
	$(or $(PYTHON),python3) dev/setup_venv.py $(if $(PYTHON),--borrow)
	@touch $@

# Naming another PYTHON than .venv was made from makes .venv stale.
ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -c 'import sys; print(sys.executable)'),$(shell cat .venv/borrowed 2>/dev/null))
.PHONY: $(STAMP)
endif
endif

demo: $(STAMP)
	$(RUN) dev/demo.py $(ARGS)

check: lint core

core:
	$(PYTEST) -m 'not slow' $(CORE) $(ARGS)

test: $(STAMP)
	$(PYTEST) -m 'not slow' $(ARGS)

test-slow: $(STAMP)
	$(PYTEST) $(ARGS)

bench: $(STAMP)
	$(RUN) benchmarks/depthwise.py $(ARGS)

study: $(STAMP)
	$(LKDENSE) study plan configs/studies/reach_small.yml --out work_dirs/reach_small
	$(LKDENSE) study run work_dirs/reach_small --jobs 2
	$(LKDENSE) study report work_dirs/reach_small

# Trackers need lap; GLIP needs transformers, in the version that mmdetection names.
survey: $(STAMP)
	$(RUN) -m pip install --quiet --constraint .venv/constraints.txt lap transformers==4.53.3
	$(RUN) dev/swap_report.py $(ARGS)

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m pyright --project pyproject.toml --pythonpath $(RUN)

docs: $(STAMP)
	$(RUN) -m sphinx -W --keep-going -q docs build/docs

.PHONY: help .venv demo check core test test-slow bench study survey lint docs
