# Every target but `help` first sets up .venv if it is missing or older than what it is made from.
# make PYTHON=/path/to/python TARGET: a .venv that uses that environment's own torch and packages (it is not written to).

STAMP := .venv/ready
RUN := .venv/bin/python

help:
	@echo 'make demo       train and test two small models on synthetic data, with pictures and a table'
	@echo 'make test       the tests, but for the slow ones; ARGS="-k slak -x" goes to pytest'
	@echo 'make test-slow  all tests'
	@echo 'make bench      time the depthwise convolution; ARGS="--shapes 31x31" goes to benchmarks/depthwise.py'
	@echo 'make study      a small study of kernel sizes, with its report, in work_dirs/reach_small'
	@echo 'make survey     try the swap on every config of mmseg and mmdet; ARGS=--again begins anew'
	@echo 'make lint       ruff: rules and format'
	@echo 'make docs       the pages, into build/docs; a broken link is an error'
	@echo 'make .venv      the set-up only'
	@echo 'PYTHON=/path/to/python  an environment whose torch is to be used'

.venv: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt dev/setup_venv.py
	$(or $(PYTHON),python3) dev/setup_venv.py $(if $(PYTHON),--borrow)
	@touch $@

# naming another PYTHON than .venv was made from makes .venv stale
ifneq ($(PYTHON),)
ifneq ($(shell $(PYTHON) -c 'import sys; print(sys.executable)'),$(shell cat .venv/borrowed 2>/dev/null))
.PHONY: $(STAMP)
endif
endif

demo: $(STAMP)
	$(RUN) dev/demo.py $(ARGS)

test: $(STAMP)
	$(RUN) -m pytest -m 'not slow' $(ARGS)

test-slow: $(STAMP)
	$(RUN) -m pytest $(ARGS)

bench: $(STAMP)
	$(RUN) benchmarks/depthwise.py $(ARGS)

study: $(STAMP)
	.venv/bin/lkdense study plan configs/studies/reach_small.yml --out work_dirs/reach_small
	.venv/bin/lkdense study run work_dirs/reach_small --jobs 2
	.venv/bin/lkdense study report work_dirs/reach_small

# trackers need lap, GLIP transformers, in the version that mmdetection names
survey: $(STAMP)
	$(RUN) -m pip install --quiet --constraint .venv/constraints.txt lap transformers==4.53.3
	$(RUN) dev/swap_report.py $(ARGS)

lint: $(STAMP)
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

docs: $(STAMP)
	$(RUN) -m sphinx -W --keep-going -q docs build/docs

.PHONY: help .venv demo test test-slow bench study survey lint docs
