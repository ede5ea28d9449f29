# make train      set up .venv, train on the embedded street scenes, write the report
# make quick      the tests of single parts, in a minute and a half on two cores
# make fix        format the code, mend what the linter can mend, write docs/networks.md from the table of networks
# make test       lint, types and all tests but the slow ones
# make test-full  the same, then the slow tests, and those of a real Slurm where it is installed
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
# The larger setting where there is a GPU; asked for when a rule needs it, since torch is not installed before.
QUICKSTART = scripts/cfg/quickstart$(shell $(BIN)/python -c 'import torch; print("_gpu" * torch.cuda.is_available())').yaml
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

.PHONY: train quick fix test test-full test-slow test-slurm lint lock setup clean

train: $(TRAIN)
	$(BIN)/python train.py --cfg $(QUICKSTART) --result_dir "$(RUN)" $(ARGS)

# The folders of tests/ mirror the code; whole runs, the documentation and the layers are files beside them.
quick: $(DEV)
	$(RUN_TESTS) -m "not slow and not slurm and not run" $(or $(PYTEST),tests/*/)

fix: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python -m options.arch_help

test: lint
	$(RUN_TESTS) -m "not slow and not slurm" $(PYTEST)

test-full: test test-slow test-slurm

test-slow: $(DEV) test
	$(RUN_TESTS) -m slow $(PYTEST)

# One after another: jobs of a Slurm that these tests start (apt install slurm-wlm munge; as root).
test-slurm: $(DEV) test-slow
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slurm $(PYTEST)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

setup: $(TRAIN)

$(TRAIN): $(TRAIN_LIST)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || \
	  { echo "Python 3.10 or newer is needed, $(PYTHON) is not: make ... PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { echo "$(PYTHON) cannot make a virtual environment (on Debian: apt install python3-venv)" >&2; exit 1; }
	@echo "installing $(TRAIN_LIST) into .venv (torch is large: some minutes)"
	@$(INSTALL_LIST) $(TRAIN_LIST)
	@rm -f .venv/.train* .venv/.dev*  # of versions that this installation may have replaced
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
