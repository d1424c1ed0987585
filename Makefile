# The kit's front door. `make` alone lists what there is.
PROFILE ?= demo
# As it was given, here and below: a dollar sign in a name is no variable. Recipes read it, and
# STANFORD_CARS, from the shell, which takes any name.
override PROFILE := $(value PROFILE)
export PROFILE
NB ?=
ARGS ?=
JOBS ?=
RETRY ?=
# Where the grid is trained: local, or ray (docs/scale.md, with what its variables mean).
ENGINE ?= local
# More of pyproject's extras for the environment: cluster, wandb ...
EXTRAS ?=
ifneq ($(value STANFORD_CARS),)
override STANFORD_CARS := $(value STANFORD_CARS)
export STANFORD_CARS
endif
export JUPYTER_PREFER_ENV_PATH = 1

# An active conda environment made from environment.yml is used; otherwise .venv is made.
ifeq ($(CONDA_DEFAULT_ENV),effnet)
ENV := $(CONDA_PREFIX)
else
ENV := .venv
endif
PY := $(ENV)/bin/python
COMMA := ,
READY := $(ENV)/.effnet-ready$(if $(EXTRAS),-$(subst $(COMMA),-,$(EXTRAS)))

# Checked before any target: a wrong name would be a folder to make, or to remove. A path is looked
# at by what reads it, too (effnet.grid.profile_file); its name is that of a folder here.
PROFILES := $(sort $(basename $(notdir $(wildcard effnet/grid/profiles/*.yaml))))
QUOTED := '$(subst ','\'',$(PROFILE))'
FILE := $(shell [ -f $(QUOTED) ] && printf '%s\n' $(QUOTED) | \
  grep -Ex '([^[:space:]]*/)?[A-Za-z0-9][A-Za-z0-9_-]*\.yaml')
NAME := $(if $(FILE),$(filter-out $(PROFILES) runs,$(basename $(notdir $(FILE)))),\
  $(filter $(PROFILES),$(PROFILE)))
ifneq (1 1,$(words $(PROFILE)) $(words $(NAME)))
NAMES := $(foreach name,$(PROFILES),$(name)$(COMMA))
$(error profile is '$(PROFILE)': allowed are $(NAMES) or a file <folder>/<other name>.yaml \
  (letters, digits, - and _ in its name, no blank in the path))
endif
OUT := reports/$(strip $(NAME))
# A copy or a draft beside the chapters is none (effnet/report/chapters.py); the one on a reader's own
# images is no part of a profile's report.
NOTEBOOKS := $(filter-out 06_%,$(basename $(shell ls notebooks | \
  LC_ALL=C grep -Ex '[0-9]{2}_[a-z0-9_]+\.ipynb')))
# The longest first, so that at the end no core waits for one.
LONG := 00_architecture 05_prediction_matrix
EXECUTED := $(patsubst %,$(OUT)/notebooks/%.ipynb,\
  $(filter $(LONG),$(NOTEBOOKS)) $(filter-out $(LONG),$(NOTEBOOKS)))
SOURCES := $(wildcard effnet/*.py effnet/*/*.py data/thesis/*.csv)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help env reproduce grid report claims test campaign lab run data check-data weights bench \
        lint lint-format lint-rules lint-outputs lint-imports lint-types strip unstrip clean clean-runs \
        clean-cache du

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  PROFILE: one of $(PROFILES), or <folder>/<name>.yaml" \
	  "(now $$PROFILE); STANFORD_CARS: a folder of real images"

env: $(READY) ## set up the environment (active conda environment effnet, else .venv)

$(READY): pyproject.toml constraints.txt
	@if [ "$(ENV)" = .venv ] && [ ! -x $(PY) ]; then \
	  for p in python3 python3.13 python3.12 python3.11; do \
	    if $$p -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	      echo "making .venv with $$p"; $$p -m venv .venv && break; fi; done; \
	  [ -x $(PY) ] || { echo "error: no Python 3.11 or later with the venv module was found" \
	    "(tried python3, python3.13, python3.12, python3.11). Install one, then make again."; exit 1; }; fi
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test,lite$(if $(EXTRAS),$(COMMA)$(EXTRAS))]'
	@$(PY) -m effnet.report.chapters install
	@touch $@

reproduce: $(READY) ## the profile's runs, every notebook, the report (PROFILE=demo)
	@start=$$(date +%s); \
	apply=$$($(PY) -m effnet.report.runner --list --profile "$$PROFILE") && \
	$(MAKE) --no-print-directory -j2 $(OUT)/index.html NOTEBOOKS="$$apply" && \
	$(PY) -m effnet.report --check $(OUT) && \
	echo "done in $$(( $$(date +%s) - start )) s: open $(OUT)/index.html (figures, tables and" \
	  "runs are beside it)"

grid: $(OUT)/grid.json ## train the profile's runs alone (RETRY=failed: those again; ENGINE=ray)
	@$(PY) -m effnet.grid.outcome "$$PROFILE"

# The grid looks at content, not at times: it trains only what is missing or damaged, and writes
# grid.json where something is new. Trials that failed are listed at the end.
$(OUT)/grid.json: $(READY) FORCE
	@$(PY) -m effnet.grid "$$PROFILE" --engine $(ENGINE) $(if $(JOBS),--jobs $(JOBS)) \
	  $(if $(RETRY),--retry $(RETRY)) --go-on
FORCE:

$(OUT)/notebooks/%.ipynb: notebooks/%.ipynb $(OUT)/grid.json $(SOURCES)
	@$(PY) -m effnet.report.runner $* --profile "$$PROFILE" --go-on

$(OUT)/index.html: $(EXECUTED)
	@$(PY) -m effnet.report $(OUT)

report: $(READY) ## rebuild the page and the verdicts from what is there, without training
	@$(PY) -m effnet.report $(OUT)

claims: $(READY) ## print the verdict on every claim of the thesis
	@$(PY) -m effnet.verdicts $(OUT)

run: $(READY) ## run one notebook: make run NB=03 ARGS="-p dropout_rate 0.3"
	@[ -n "$(NB)" ] || { echo 'error: say which notebook: make run NB=03 ARGS="-p dropout_rate 0.3"'; exit 1; }
	@$(PY) -m effnet.report.runner $(NB) --profile "$$PROFILE" $(ARGS)

lab: $(READY) ## open the notebooks in JupyterLab
	$(ENV)/bin/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) --notebook-dir=. \
	  --FileContentsManager.post_save_hook=effnet.report.chapters.saved \
	  notebooks/00_architecture.ipynb $(ARGS)

data: $(READY) ## say what is there of Stanford Cars, get what can be got
	@$(PY) -m effnet.datasets.fetch

check-data: $(READY) ## check every image and annotation (STANFORD_CARS=<folder>)
	@$(PY) -m effnet.datasets.check "$${STANFORD_CARS:-data/stanford_cars}"

weights: $(READY) ## fetch the pretrained weights that the profile needs
	@$(PY) -m effnet.grid.profiles "$$PROFILE"

test: $(READY) ## the test suite
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

campaign: $(READY) ## what the suite takes a sample of: kills and damage everywhere (25 minutes)
	@CAMPAIGN=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 tests/training/test_crash_points.py \
	  tests/training/test_damaged_runs.py tests/training/test_processes.py tests/grid/test_grid_kills.py \
	  tests/test_damaged_reports.py tests/report/test_damage.py tests/test_errors.py tests/test_model.py

bench: $(READY) ## speed beside the thesis's way, timm and torchvision (an hour on 2 cores)
	@$(PY) benchmarks/bench.py $(ARGS)

# Each is a hook of .pre-commit-config.yaml too.
lint: lint-format lint-rules lint-outputs lint-imports lint-types ## format, rules, imports, types, notebooks

lint-format: $(READY)
	@$(ENV)/bin/ruff format --check .

lint-rules: $(READY)
	@$(ENV)/bin/ruff check .

lint-outputs: $(READY)
	@$(PY) -m effnet.report.chapters check

lint-imports: $(READY)
	@$(ENV)/bin/lint-imports

lint-types: $(READY)
	@$(ENV)/bin/mypy

strip: $(READY) ## take out of the notebooks what running and saving them left there
	@$(PY) -m effnet.report.chapters strip

unstrip: $(READY) ## let git look at notebooks as they are (`make env` had set a filter)
	@$(PY) -m effnet.report.chapters uninstall

clean: $(READY) ## remove the profile's reports and runs (PROFILE=demo)
	@$(PY) -m effnet.report.clean "$$PROFILE"

clean-runs: $(READY) ## remove what is stale among the profile's runs (other code, litter)
	@$(PY) -m effnet.report.clean "$$PROFILE" --runs

du: $(READY) ## what takes disk: results by profile, data
	@$(PY) -m effnet.report.clean --du

clean-cache: $(READY) ## remove the cache of decoded images
	@$(PY) -m effnet.datasets.cache --clean
