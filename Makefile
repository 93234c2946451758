# Everything runs in .venv, made with python3's own venv and pip from the hashed files in locks/.
PYTHON ?= python3
SWEEP ?= default

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # a timing wants the machine to itself, and two pips one .venv

# The caller's Python settings stay outside; its mirror and certificates (PIP_INDEX_URL, pip.conf,
# PIP_CERT) come in.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_PREFIX PIP_ROOT PIP_TARGET
unexport VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup bench suite gate plots slides test lint lock clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' Makefile

setup: .venv/.bench ## make the environment, .venv (PYTHON=python3.12 picks the interpreter)

bench: .venv/.bench ## measure: table, CSV and charts (SWEEP=quick, ARGS='...')
	.venv/bin/python -m bench run --sweep $(SWEEP) $(ARGS)

suite: .venv/.bench ## the same cells under pytest-benchmark
	.venv/bin/python -m pytest bench/suite.py --benchmark-only $(ARGS)

gate: .venv/.bench ## did a kernel get slower? (BASE=main, ARGS='...')
	.venv/bin/python -m bench gate --base $(or $(BASE),main) $(ARGS)

plots: .venv/.bench ## draw a run's charts anew (RUN=..., else the latest)
	.venv/bin/python -m bench plot $(or $(RUN),latest)

slides: .venv/.bench ## a deck of the run for PowerPoint (RUN=..., else the latest)
	.venv/bin/python -m bench report $(or $(RUN),latest) --pptx $(ARGS)

test: .venv/.test ## run the tests (ARGS='-k name')
	.venv/bin/python -m pytest $(ARGS)

lint: .venv/.lint ## check style, types and layering
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m mypy
	.venv/bin/lint-imports --no-logo

lock: ## write locks/*.txt from pyproject.toml (ARGS=--upgrade: newest versions)
	$(check-python)
	@"$(PYTHON)" -m venv --clear .venv-lock
	@.venv-lock/bin/python -m pip install --quiet --require-hashes -r locks/uv.txt
	@echo "resolving"
	@$(compile) -o locks/bench.txt pyproject.toml
	@$(compile) -o locks/test.txt -c locks/bench.txt pyproject.toml --group test
	@$(compile) -o locks/lint.txt -c locks/test.txt pyproject.toml --group test --group lint
	@$(compile) -o locks/study.txt -c locks/bench.txt --group study
	@$(compile) -o locks/uv.txt --group lock

clean: ## remove the environments and caches; results stay
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find bench kernels tests -name __pycache__ -prune -exec rm -rf {} +

compile = .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--python .venv-lock/bin/python --python-version 3.11 --custom-compile-command 'make lock' $(ARGS)

# Each stamp is written last, and .bench is away while packages are added: what was interrupted is
# made anew from an empty .venv, and so is an environment whose interpreter is gone or is not the
# PYTHON that was asked for. Pip downloads before it installs, so a lost network leaves .bench good.
pip = .venv/bin/python -m pip install --quiet --no-compile --require-hashes -r
# on every core, where pip would take one
compileall = .venv/bin/python -m compileall -qq -j 0 .venv/lib || true

have := $(shell .venv/bin/python --version 2>/dev/null)
ifneq ($(origin PYTHON),file)
want := $(shell "$(PYTHON)" --version 2>/dev/null)
else
want := $(have)
endif
ifneq ($(have),$(or $(want),none))
.venv/.bench: FORCE
endif

.venv/.bench: locks/bench.txt
	$(check-python)
	@echo "setting up .venv (once; about a minute)"
	@"$(PYTHON)" -m venv --clear .venv
	@$(pip) locks/bench.txt
	@$(compileall)
	@touch $@

.venv/.test: locks/test.txt .venv/.bench
	$(call add,test,.venv/.bench)

.venv/.lint: locks/lint.txt .venv/.test
	$(call add,lint,.venv/.bench .venv/.test)

define add
@echo "adding what $(1) needs to .venv"
@rm .venv/.bench
@trap 'exit 1' INT; $(pip) locks/$(1).txt || { touch $(2); exit 1; }
@$(compileall)
@touch $(2) $@
endef

define check-python
@"$(PYTHON)" -c "" 2>/dev/null || { \
	echo "error: can't run $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), and 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null || { \
	echo "error: $(PYTHON) has no venv: apt install python3-venv, or name another Python: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef
