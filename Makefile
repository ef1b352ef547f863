# `make` lists the commands. Everything runs in .venv, which is made from requirements.lock when that changes.
PYTHON ?= python3
RUN ?= quick
# Least share of all lines that the fast tests of the rooms in ROOMS must reach alone, in per cent.
COVERAGE ?= 35
BIN := .venv/bin
READY := .venv/.ready
TEST_OUTPUTS := $(or $(TWOSTAMP_TEST_OUTPUTS),$(CURDIR)/.test-outputs)
export TF_CPP_MIN_LOG_LEVEL ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup reproduce extend decide plan pretrained report reference alerts dataset tonight hunter test test-lowest docs bench lint notebooks lab tensorboard lock clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-13s %s\n", $$1, $$2}'

$(READY): requirements.lock pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed and $(PYTHON) is another: make PYTHON=python3.12 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

setup: $(READY) ## make .venv

reproduce: $(READY) ## run notebooks 00-09 (RUN=quick, sample, thesis) into outputs/RUN; FORCE=1: those that are done too
	$(BIN)/twostamp run $(RUN) $(if $(FORCE),--force)

extend: $(READY) ## run notebooks 10 and on, beyond the thesis, on RUN's data
	$(BIN)/twostamp extend $(RUN) $(if $(FORCE),--force)

DECIDED := 01_data_extraction 03_dataset_preparation 04_model_search 05_model_comparison 07_unlabelled_sky
EXAMINED := 10_significance 11_calibration 12_second_alert 13_ageing 14_shortcut_audit 15_specification_curve
decide: $(READY) ## repeat the runs behind every claim and write docs/claims.md: about an hour on two cores
	$(BIN)/twostamp run decide --only $(DECIDED)
	$(BIN)/twostamp extend decide --only $(EXAMINED)
	$(BIN)/twostamp claims decide docs/claims.md

report: $(READY) ## write outputs/RUN/report.html, one page with everything that a run made
	$(BIN)/twostamp report $(RUN)

reference: $(READY) ## copy RUN's figures, tables and ledger, and make bench's table, to outputs/reference
	$(BIN)/twostamp reference $(RUN)

plan: $(READY) ## trials, hours and cost of RUN's search on several machines, from measured rates
	$(BIN)/twostamp plan $(RUN)

pretrained: $(READY) ## train the classifier that the package ships anew: 20 minutes on two cores
	$(BIN)/twostamp pretrain pretrained lib/twostamp/models/pretrained_model

alerts: $(READY) ## assemble the labels and fetch the alerts of RUN, ahead of its notebooks
	$(BIN)/twostamp fetch $(RUN)

dataset: $(READY) ## write the pairs of RUN as a data set to give away: outputs/RUN/dataset
	$(BIN)/twostamp release $(RUN)

tonight: $(READY) ## score a night: NIGHT=YYYYMMDD of RUN's archive (all nights of a simulated run without NIGHT)
	$(BIN)/twostamp tonight $(NIGHT) --run $(RUN)

test: $(READY) ## unit, property and doc tests, and beside them all notebooks, executed and validated
	$(MAKE) --jobs=2 test-units test-notebooks

test-units: $(READY)
	$(BIN)/python -m pytest --durations=25

test-notebooks: $(READY)
	rm -rf $(TEST_OUTPUTS)
	TWOSTAMP_OUTPUTS=$(TEST_OUTPUTS) $(BIN)/twostamp run test
	TWOSTAMP_OUTPUTS=$(TEST_OUTPUTS) $(BIN)/twostamp extend test
	TWOSTAMP_OUTPUTS=$(TEST_OUTPUTS) $(BIN)/python -m pytest -c /dev/null --rootdir=$(TEST_OUTPUTS) -q --nbval-lax \
	  --nbval-cell-timeout=600 --nbval-kernel-startup-timeout=600 -p tests.nbval_patience --durations=10 -p no:cacheprovider $(TEST_OUTPUTS)/test/notebooks

LOWEST := .lowest
ROOMS := $(addprefix tests/,alerts data evaluation inspection models utils test_params.py test_taxonomy.py)
test-lowest: ## fast tests of the rooms below the analyses, with every dependency at its lower bound (Python 3.11 or 3.12)
	test -x $(LOWEST)/bin/uv || { $(PYTHON) -m venv $(LOWEST) && $(LOWEST)/bin/python -m pip install --quiet uv; }
	$(LOWEST)/bin/uv pip compile --quiet --resolution lowest-direct --python $(LOWEST)/bin/python --extra all --extra dev \
	  --no-header --no-emit-index-url --output-file $(LOWEST)/requirements.txt pyproject.toml
	$(LOWEST)/bin/uv pip install --quiet --python $(LOWEST)/bin/python --requirement $(LOWEST)/requirements.txt
	PYTHONPATH=$(CURDIR)/lib $(LOWEST)/bin/python -m pytest -m "not slow" $(ROOMS) \
	  --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERAGE)

docs: $(READY) ## build the documentation site, docs/_build/html; RUN=quick: with the executed notebooks of that run alone
	TWOSTAMP_TEST_OUTPUTS=$(TEST_OUTPUTS) $(BIN)/python docs/build.py $(if $(filter command environment,$(firstword $(origin RUN))),--run $(RUN))

bench: $(READY) ## speed beside named references (ROWS="keys training"); ROWS=accelerator: rates for plan
	TQDM_DISABLE=1 $(BIN)/python -m tests.benchmarks $(ROWS)

lint: $(READY) ## ruff, mypy, and the layers of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

notebooks: $(READY) ## write the .ipynb from the edited .py
	$(BIN)/jupytext --quiet --update --to ipynb notebooks/*.py

hunter: $(READY) ## hunt for supernovae in the night that RUN scored last (after make tonight), in JupyterLab
	mkdir -p outputs/$(RUN)/hunter
	$(BIN)/papermill --prepare-only --log-level ERROR notebooks/17_supernova_hunter.ipynb outputs/$(RUN)/hunter/17_supernova_hunter.ipynb -p run_name $(RUN) \
	  $(if $(filter real,$(RUN)),-p archive "real packets" -p labels "real packets")
	TWOSTAMP_OUTPUTS=$(CURDIR)/outputs $(BIN)/jupyter lab outputs/$(RUN)/hunter/17_supernova_hunter.ipynb

lab: $(READY) ## open JupyterLab
	$(BIN)/jupyter lab --notebook-dir=notebooks

tensorboard: $(READY) ## watch the trainings of RUN, where its parameters have tensorboard: true
	@find outputs/$(RUN)/models -name 'events.out.*' 2>/dev/null | grep -q . || \
	  { echo "no training of $(RUN) is logged: set tensorboard: true in params/$(RUN).yaml and run it anew" >&2; exit 2; }
	$(BIN)/tensorboard --logdir outputs/$(RUN)/models

lock: ## solve the dependencies anew (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --extra all --extra dev --extra docs --extra jax --no-header --no-emit-index-url \
	  --output-file requirements.lock pyproject.toml

clean: ## remove the test run's outputs
	rm -rf $(TEST_OUTPUTS)
