# make demo         the main job, from real DFT records to a validated MACE force field
# make check        the tests that need no queue, no faults, no DFT, no training: minutes
# make test         all tests
# make fuzz         300 broken files of each kind that is imported
# make docs         the site of README.md and docs/ in build/site; every link in it is checked
# make lint         ruff, mypy, whether names in tests and benchmarks are there, and schemas/ in step
# make figures      the figures of README.md and docs/ anew from benchmarks/results/
# make reference    docs/reference.md anew from the commands
# make architecture  docs/images/architecture.svg anew from the imports in the sources
# make lock         requirements/lock.txt anew: the newest versions, which all of the above install
# make test-oldest  the tests of the library with the oldest packages, in .venv-oldest
# make test-newest  the same with the newest, in .venv-newest
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
OUT ?= forcebase-demo
LOCK := requirements/lock.txt
TORCH ?= torch
# GPAW compiles against libxc: tests run it where the headers are, and are skipped elsewhere.
hash := \#
HAS_LIBXC := $(shell echo '$(hash)include <xc.h>' | cc -E - >/dev/null 2>&1 && echo yes)
comma := ,
DEV := $(VENV)/.installed-dev$(if $(HAS_LIBXC),-dft)
# A worker more than there are cores, for most of the time is waiting, each with a database server of
# its own; one that crashes ends the run. make test WORKERS=0 runs all in one process.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(1 + os.cpu_count())')
PYTEST := $(RUN)/pytest --numprocesses=$(WORKERS) --maxprocesses=4 --dist=loadscope --max-worker-restart=0
QUICK := not remote and not faults and not dft and not training and not slurm and not browser
EXTRAS := dev$(if $(HAS_LIBXC),$(comma)dft)

.PHONY: demo full check test fuzz lint schemas figures reference architecture lock docs test-oldest test-newest clean

demo: $(VENV)/.installed
	$(RUN)/forcebase demo --out $(OUT)

full: $(VENV)/.installed
	$(RUN)/forcebase demo --full --out $(OUT)-full

check: $(DEV)
	$(PYTEST) -m '$(QUICK)'

test: $(DEV)
	$(PYTEST)

fuzz: $(DEV)
	FORCEBASE_FUZZ=300 $(PYTEST) tests/fuzz

lint: $(DEV)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/mypy --config-file tests/mypy.ini
	$(RUN)/python -m forcebase.database.schema_files --check schemas

schemas: $(DEV)
	$(RUN)/python -m forcebase.database.schema_files schemas

docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build

figures:
	$(PYTHON) benchmarks/figures.py

reference: $(DEV)
	$(RUN)/python docs/reference.py

architecture: $(DEV)
	$(RUN)/python docs/architecture.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "forcebase needs Python 3.11 or newer: make PYTHON=python3.11 demo")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'On Debian: apt install python3-venv'; exit 1; }
	$(RUN)/python -m pip install --quiet --upgrade pip

# torch first. Where pip offers a CPU build of its version it is enough, and smaller:
# make TORCH="torch --index-url ..." takes one from an index of your choice.
$(VENV)/.installed: pyproject.toml $(LOCK) | $(VENV)/bin/python
	$(RUN)/python -m pip install --quiet --constraint $(LOCK) $(TORCH)
	$(RUN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[mace]'
	touch $@

$(DEV): $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[mace,$(EXTRAS)]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[mace,docs]'
	touch $@

# torch stays as it is locked: another version of it is another set of numbers.
TORCH_LOCKED = $$(grep '^torch==' $(LOCK))

lock:
	@test -n '$(HAS_LIBXC)' || { echo 'GPAW is locked too: apt install libxc-dev libopenblas-dev libopenmpi-dev'; exit 1; }
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --upgrade pip
	.venv-lock/bin/python -m pip install --quiet $(TORCH_LOCKED)
	.venv-lock/bin/python -m pip install --quiet --editable '.[mace,dev,dft,docs]'
	grep '^#' $(LOCK) > $(LOCK).part
	.venv-lock/bin/python -m pip freeze --all --exclude-editable --exclude pip \
	    | sed 's/+[a-z0-9.]*$$//' >> $(LOCK).part
	mv $(LOCK).part $(LOCK)
	rm -rf .venv-lock

# No runner, fault, Slurm, browser or DFT: what else the packages of other days must pass.
LIBRARY := not remote and not faults and not slurm and not browser and not dft

test-oldest: .venv-oldest/.installed
	.venv-oldest/bin/python -m pytest -m '$(LIBRARY)'

test-newest: .venv-newest/.installed
	.venv-newest/bin/python -m pytest -m '$(LIBRARY)'

.venv-oldest/.installed: CONSTRAINT = --constraint requirements/oldest.txt
.venv-oldest/.installed: requirements/oldest.txt
.venv-%/.installed: pyproject.toml
	rm -rf .venv-$*
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade pip
	.venv-$*/bin/python -m pip install --quiet $(TORCH_LOCKED)
	.venv-$*/bin/python -m pip install --quiet $(CONSTRAINT) --editable '.[mace,dev]'
	touch $@

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest .venv-lock build *.egg-info
