# make demo   the main job, from real DFT records to a validated MACE force field
# make check  the tests that need no queue, no faults, no DFT, no training: minutes
# make test   all tests
# make lint   ruff, mypy, and whether schemas/ is in step
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
OUT ?= forcebase-demo
TORCH ?= torch==2.13.0
# GPAW compiles against libxc: tests run it where the headers are, and are skipped elsewhere.
hash := \#
HAS_LIBXC := $(shell echo '$(hash)include <xc.h>' | cc -E - >/dev/null 2>&1 && echo yes)
comma := ,
DEV := $(VENV)/.installed-dev$(if $(HAS_LIBXC),-dft)
# A worker for each core, each with a database server of its own; tests that start processes and
# wait for them keep to one worker. make test WORKERS=0 runs them one after another, in one process.
WORKERS ?= logical
PYTEST := $(RUN)/pytest --numprocesses=$(WORKERS) --maxprocesses=4 --dist=loadgroup \
	--no-loadscope-reorder
QUICK := not remote and not faults and not dft and not training and not slurm and not browser
EXTRAS := dev$(if $(HAS_LIBXC),$(comma)dft)

.PHONY: demo full check test lint schemas clean

demo: $(VENV)/.installed
	$(RUN)/forcebase demo --out $(OUT)

full: $(VENV)/.installed
	$(RUN)/forcebase demo --full --out $(OUT)-full

check: $(DEV)
	$(PYTEST) -m '$(QUICK)'

test: $(DEV)
	$(PYTEST)

lint: $(DEV)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/python -m forcebase.database.schema_files --check schemas

schemas: $(DEV)
	$(RUN)/python -m forcebase.database.schema_files schemas

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "forcebase needs Python 3.11 or newer: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'On Debian: apt install python3-venv'; exit 1; }
	$(RUN)/python -m pip install --quiet --upgrade pip

# torch first and pinned. Where pip offers a CPU build of this version it is enough, and smaller:
# make TORCH="torch==2.13.0 --index-url ..." takes one from an index of your choice.
$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(RUN)/python -m pip install --quiet $(TORCH)
	$(RUN)/python -m pip install --quiet --editable .
	touch $@

$(DEV): $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --editable '.[$(EXTRAS)]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
