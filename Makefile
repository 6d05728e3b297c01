# What people type: `make demo`, `make test`. Both do all set-up on a fresh machine.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
CORE := .venv-core
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet
HEADLESS ?=
PICTURES := $(or $(TMPDIR),/tmp)/unetseg-demo
ARGS ?=
OUTSIDE := --ignore=tests/viewer --numprocesses=auto --dist=loadfile

.PHONY: help setup system test check unit core demo screenshots sample model lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(VENV)/.ready  ## build the virtual environment with pinned packages

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(PIP) install --constraint constraints.txt pip
	$(BIN)/python $(PIP) install --constraint constraints.txt \
	    --group core-test --group gui-test --group check --editable '.[all,openvino]'
	touch $@

$(CORE)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(CORE)
	$(CORE)/bin/python $(PIP) install --constraint constraints.txt pip
	$(CORE)/bin/python $(PIP) install --constraint constraints.txt \
	    --group core-test --editable .
	touch $@

system:  ## system libraries for Qt, OpenGL and the virtual display
	@.ci/system-libraries

test: setup system check unit core  ## all set-up, all checks, all tests

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/typos
	$(BIN)/npe2 validate napari_unetseg/napari.yaml

unit: setup system  ## all tests; those of the window one after the other, as it has one focus
	$(BIN)/python -m pytest $(OUTSIDE) $(ARGS)
	.ci/with-display $(BIN)/python -m pytest tests/viewer $(ARGS)

core: $(CORE)/.ready  ## the tests outside the window, without napari and without Qt
	$(CORE)/bin/python -m pytest $(OUTSIDE) $(ARGS)

demo: setup system  ## the app on the sample; without a display, or with HEADLESS=1, by itself
	@.ci/demo $(BIN)/napari-unetseg "$(HEADLESS)" $(ARGS)

screenshots: setup system  ## the pictures of the README, taken from the demo
	@.ci/demo $(BIN)/napari-unetseg 1 --output $(PICTURES)
	mkdir -p docs/images && cp $(PICTURES)/*.png docs/images/

sample: setup  ## write sample_data/ anew
	$(BIN)/python sample_data/generate.py

model: setup  ## train the model that ships with the package anew
	$(BIN)/python -m napari_unetseg.training.default_model --out napari_unetseg/models/default

lock: setup  ## write constraints.txt from what is installed
	$(BIN)/python $(PIP) freeze --all --exclude-editable | sed 's/+cpu$$//' > constraints.txt

clean:  ## remove what was built
	rm -rf $(VENV) $(CORE) demo-output .mypy_cache .ruff_cache .pytest_cache
