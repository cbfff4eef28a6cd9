# make demo   the main job, from real DFT records to a validated MACE force field
# make test   all tests
# make fuzz   300 broken files of each kind that is imported
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
EXTRAS := dev$(if $(HAS_LIBXC),$(comma)dft)

.PHONY: demo full test fuzz lint schemas clean

demo: $(VENV)/.installed
	$(RUN)/forcebase demo --out $(OUT)

full: $(VENV)/.installed
	$(RUN)/forcebase demo --full --out $(OUT)-full

test: $(DEV)
	$(RUN)/pytest

fuzz: $(DEV)
	FORCEBASE_FUZZ=300 $(RUN)/pytest tests/fuzz

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
