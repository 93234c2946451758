# Everything runs in .venv, made with python3's own venv and pip from the hashed files in locks/.
PYTHON ?= python3
SWEEP ?= default
# auto: what the driver says; none: no CuPy; cuda12, cuda13: that wheel
GPU ?= auto

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL: # a timing wants the machine to itself, and two pips one .venv

# The caller's Python settings stay outside; its mirror and certificates (PIP_INDEX_URL, pip.conf,
# PIP_CERT) come in.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_PREFIX PIP_ROOT PIP_TARGET
unexport VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
export GPU
export PIP_USER := 0
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# The groups of kernels that have a library of their own, and of them those that KERNELS asks for:
# a kernel is called after its library, numba_loop after numba.
LIBRARIES = numba jax torch
wanted = $(filter $(if $(filter all,$(KERNELS)),%,$(foreach kernel,$(KERNELS),$(firstword \
	$(subst _, ,$(kernel))))),$(LIBRARIES))

.PHONY: help setup bench doctor suite gate plots slides test gpu-check lint lock clean
.PHONY: gpu gpu-word libraries sizes FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: gpu libraries ## make the environment, .venv (PYTHON=python3.12, GPU=none or cuda12 or cuda13)

bench: gpu libraries ## measure: table, CSV and charts (SWEEP=quick, KERNELS=all, GPU=none, ARGS='...')
	.venv/bin/python -m bench run --sweep $(SWEEP) $(KERNELS:%=--kernel %) $(ARGS)

doctor: .venv/.bench ## what can run here, and what to do about the rest (ARGS=--json)
	.venv/bin/python -m bench doctor $(ARGS)

suite: gpu ## the same cells under pytest-benchmark
	.venv/bin/python -m pytest bench/suite.py --benchmark-only $(ARGS)

gate: gpu ## did a kernel get slower? (BASE=main, ARGS='...')
	.venv/bin/python -m bench gate --base $(or $(BASE),main) $(ARGS)

plots: .venv/.bench ## draw a run's charts anew (RUN=..., else the latest)
	.venv/bin/python -m bench plot $(or $(RUN),latest)

slides: .venv/.bench ## a deck of the run for PowerPoint (RUN=..., else the latest)
	.venv/bin/python -m bench report $(or $(RUN),latest) --pptx $(ARGS)

test: .venv/.test ## run the tests (ARGS='-k name')
	.venv/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal $(ARGS)

gpu-check: .venv/.test gpu ## on a GPU: is all of it right there? Ends with a page for an issue
	.venv/bin/python -m pytest tests/gpu -m gpu --gpu-check -W default $(ARGS)

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
	@$(compile) -o locks/cuda12.txt -c locks/bench.txt --group cuda12
	@$(compile) -o locks/torch.txt -c locks/bench.txt --group torch
	@$(compile) -o locks/cuda13.txt -c locks/torch.txt -c locks/bench.txt --group cuda13
	@$(compile) -o locks/test.txt -c locks/bench.txt -c locks/cuda13.txt pyproject.toml --group test
	@$(compile) -o locks/lint.txt -c locks/test.txt pyproject.toml --group test --group lint
	@$(compile) -o locks/study.txt -c locks/bench.txt --group study
	@$(compile) -o locks/uv.txt --group lock
	@$(foreach library,$(filter-out torch,$(LIBRARIES)),$(compile) -o locks/$(library).txt \
		-c locks/test.txt --group $(library) &&) true
	@$(foreach library,$(LIBRARIES),$(compile) --format pylock.toml -c locks/$(library).txt \
		-o .venv-lock/pylock.$(library).toml --group $(library) &&) true
	@.venv-lock/bin/python -m bench.machine.downloads sizes .venv-lock/pylock.*.toml >locks/sizes.csv

clean: ## remove the environments and caches; results stay
	rm -rf .venv .venv-lock .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find bench kernels tests -name __pycache__ -prune -exec rm -rf {} +

compile = .venv-lock/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--python .venv-lock/bin/python --python-version 3.11 --custom-compile-command 'make lock' $(ARGS)

# Each stamp is written last, and .bench is away while packages are added: what was interrupted is
# made anew from an empty .venv, and so is an environment whose interpreter is gone or is not the
# PYTHON that was asked for. Pip downloads before it installs, so a lost network leaves .bench good.
pip = .venv/bin/python -m pip install --quiet --no-compile --require-hashes -r
# with pip's own progress: it may take minutes
download = .venv/bin/python -m pip download --require-hashes -d
uninstall = .venv/bin/python -m pip uninstall --quiet --yes
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
	$(call add,test,exit 1)

.venv/.lint: locks/lint.txt .venv/.test
	$(call add,lint,exit 1)

libraries: $(if $(wanted),sizes $(wanted:%=.venv/.%))

sizes: .venv/.bench
	@.venv/bin/python -m bench.machine.downloads tell $(wanted)

# Pip shows how far it is: it may take long.
# One that is there and has no stamp is the user's own, or the tests': it is left as it is. One that
# can't be had leaves its kernels unavailable, and the others run.
$(LIBRARIES:%=.venv/.%): .venv/.%: locks/%.txt .venv/.bench
	$(if $(or $(wildcard $@),$(call missing,$*)),$(call add,$*,echo "note: without $* its kernels stay unavailable" >&2; exit 0))

missing = $(shell .venv/bin/python -c "import importlib.util as u; print('' if u.find_spec('$(1)') else 'yes')")

# What a GPU needs has no stamp: the driver is asked anew each time, and .venv what is in it. CuPy's
# wheels hold the same files, so another one goes first, once all that replaces it is here.
gpu: gpu-word .venv/.bench
	@set -e; work=$$(.venv/bin/python -m bench.machine.wheel $(GPU)); set -- $$work; \
	[ $$# -gt 0 ] || exit 0; wheel=$$1; shift; \
	trap 'rm -rf .venv/.wheels' EXIT; trap 'exit 1' INT; mkdir -p .venv/.wheels; \
	[ $$wheel = none ] || $(download) .venv/.wheels -r locks/$$wheel.txt || { \
		echo "error: CuPy can't be downloaded: try again, or go without it: make GPU=none $(MAKECMDGOALS)" >&2; exit 1; }; \
	rm -f .venv/.bench .venv/.test .venv/.lint; \
	[ $$# = 0 ] || $(uninstall) "$$@"; \
	[ $$wheel = none ] || $(pip) locks/$$wheel.txt --no-index --find-links .venv/.wheels; \
	$(compileall); $(stamp-all)

gpu-word:
	@case "$$GPU" in auto|none|cuda12|cuda13) ;; *) \
		echo "error: GPU=$$GPU is none of auto, none, cuda12, cuda13 (it may come from the environment)" >&2; exit 1;; esac

define add
@echo "adding what $(1) needs to .venv"
@rm .venv/.bench
@others=$$(.venv/bin/python -m bench.machine.wheel beside locks/$(1).txt); \
	[ -z "$$others" ] || $(uninstall) $$others
@trap 'exit 1' INT; $(if $(filter $(1),$(LIBRARIES)),$(subst --quiet ,,$(pip)),$(pip)) locks/$(1).txt \
	|| { $(stamp-all); $(2); }; $(compileall); touch .venv/.bench $@; $(stamp-all)
endef

# What is in .venv still is what the stamps say, none older than the one that it was built on.
stamp-all = touch .venv/.bench; find .venv -maxdepth 1 -type f -name '.*' -exec touch {} +

define check-python
@"$(PYTHON)" -c "" 2>/dev/null || { \
	echo "error: can't run $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), and 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null || { \
	echo "error: $(PYTHON) has no venv: apt install python3-venv, or name another Python: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef
