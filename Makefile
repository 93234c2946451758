# Everything runs in .venv. `make` makes it from python3's own venv, and bench.machine.packages puts
# into it what the hashed files in locks/ name, with uv, or with pip where uv can't be had.
PYTHON ?= python3
SWEEP ?= default
# auto: what the driver says; none: no CuPy; cuda12, cuda13: that wheel
GPU ?= auto

.DEFAULT_GOAL := help
.NOTPARALLEL: # a timing wants the machine to itself, and two installers one .venv

# The caller's Python settings stay outside; its mirror and certificates (PIP_INDEX_URL, pip.conf,
# PIP_CERT) come in.
unexport PYTHONHOME PYTHONPATH PYTHONSAFEPATH PIP_PREFIX PIP_ROOT PIP_TARGET
unexport PIP_BUILD_CONSTRAINT PIP_EDITABLE PIP_NO_DEPS PIP_PYTHON PIP_REQUIREMENT PIP_DRY_RUN
unexport VIRTUAL_ENV CONDA_PREFIX __PYVENV_LAUNCHER__
unexport UV_CONSTRAINT UV_EXCLUDE UV_EXCLUDE_NEWER UV_NO_BINARY UV_OVERRIDE UV_SYSTEM_PYTHON
unexport PYTHONDONTWRITEBYTECODE # without bytecode each import compiles anew
export GPU
export PIP_USER := 0
# the locks alone say which versions: in pip.conf there may be constraints, too
export PIP_CONSTRAINT := /dev/null
export PIP_DISABLE_PIP_VERSION_CHECK := 1

packages = @.venv/bin/python -m bench.machine.packages
kernels = $(KERNELS:%=--kernel %)
pytest = .venv/bin/python -m pytest -n logical --maxprocesses 8 --dist worksteal

.PHONY: help setup bench doctor suite gate fleet history plots slides page test test-all gpu-check lint lock clean
.PHONY: gpu-word FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

setup: gpu-word .venv ## make the environment, .venv (PYTHON=python3.12, GPU=none or cuda12 or cuda13)
	$(packages) bench --gpu "$$GPU" $(kernels)

bench: gpu-word .venv ## measure: table, CSV and charts (SWEEP=quick, KERNELS=all, GPU=none, ARGS='...')
	$(packages) bench --gpu "$$GPU" $(kernels)
	.venv/bin/python -m bench run --sweep $(SWEEP) $(kernels) $(ARGS)

doctor: .venv ## what can run here, and what to do about the rest (ARGS=--json)
	$(packages) bench
	.venv/bin/python -m bench doctor $(ARGS)

suite: gpu-word .venv ## the same cells under pytest-benchmark
	$(packages) bench --gpu "$$GPU"
	.venv/bin/python -m pytest bench/suite.py --benchmark-only $(ARGS)

gate: gpu-word .venv ## did a kernel get slower? (BASE=main, ARGS='...')
	$(packages) bench --gpu "$$GPU"
	.venv/bin/python -m bench gate --base $(or $(BASE),main) $(ARGS)

fleet: .venv ## one sweep on many machines, by Dask (ARGS='--scheduler tcp://... --sweep quick')
	$(packages) fleet
	.venv/bin/python -m bench fleet $(ARGS)

history: .venv ## when did a kernel change, and with what? (ARGS='--kernel numpy_dot')
	$(packages) history
	.venv/bin/python -m bench history check $(ARGS)

plots: .venv ## draw a run's charts anew (RUN=..., else the latest)
	$(packages) bench
	.venv/bin/python -m bench plot $(or $(RUN),latest)

slides: .venv ## a deck of the run for PowerPoint (RUN=..., else the latest)
	$(packages) bench
	.venv/bin/python -m bench report $(or $(RUN),latest) --pptx $(ARGS)

page: .venv ## a page of the run, to read and to try out (RUN=..., else the latest)
	$(packages) bench
	.venv/bin/python -m bench report $(or $(RUN),latest) --html $(ARGS)

test: .venv ## run the tests (ARGS='-k name')
	$(packages) test
	$(pytest) $(ARGS)

test-all: .venv ## run the tests and the long campaigns
	$(packages) test
	CAMPAIGN=1 $(pytest) -m 'campaign or not campaign' $(ARGS)

gpu-check: gpu-word .venv ## on a GPU: is all of it right there? Ends with a page for an issue
	$(packages) test --gpu "$$GPU"
	.venv/bin/python -m pytest tests/gpu -m gpu --gpu-check -W default $(ARGS)

lint: .venv ## check style, types and layering
	$(packages) lint
	.venv/bin/python -m ruff check
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m mypy
	.venv/bin/lint-imports --no-logo

lock: .venv ## write locks/*.txt from pyproject.toml (ARGS=--upgrade: newest versions)
	@$(install-uv)
	@echo "resolving"
	$(compile) -o locks/bench.txt pyproject.toml
	$(compile) -o locks/cuda12.txt -c locks/bench.txt --group cuda12
	$(compile) -o locks/torch.txt -c locks/bench.txt --group torch
	$(compile) -o locks/cuda13.txt -c locks/torch.txt -c locks/bench.txt --group cuda13
	$(compile) -o locks/history.txt -c locks/bench.txt pyproject.toml --group history
	$(compile) -o locks/fleet.txt -c locks/bench.txt pyproject.toml --group fleet
	$(compile) -o locks/test.txt -c locks/bench.txt -c locks/cuda13.txt -c locks/fleet.txt -c locks/history.txt pyproject.toml --group test
	$(compile) -o locks/lint.txt -c locks/test.txt pyproject.toml --group test --group lint
	$(compile) -o locks/study.txt -c locks/bench.txt --group study
	$(compile) -o locks/clocks.txt -c locks/cuda13.txt --group clocks
	$(compile) -o locks/uv.txt --group lock
	$(compile) -o locks/numba.txt -c locks/test.txt --group numba
	$(compile) -o locks/jax.txt -c locks/test.txt --group jax
	$(compile) -o locks/dask.txt -c locks/test.txt --group dask
	$(compile) -o locks/mlx.txt -c locks/test.txt --group mlx
	$(compile) -o .venv/pylock.numba.toml -c locks/numba.txt --group numba
	$(compile) -o .venv/pylock.jax.toml -c locks/jax.txt --group jax
	$(compile) -o .venv/pylock.dask.toml -c locks/dask.txt --group dask
	$(compile) -o .venv/pylock.mlx.toml -c locks/mlx.txt --group mlx
	$(compile) -o .venv/pylock.torch.toml -c locks/torch.txt --group torch
	@.venv/bin/python -m bench.machine.downloads sizes .venv/pylock.*.toml >.venv/sizes.csv
	@mv .venv/sizes.csv locks/sizes.csv

compile = @.venv/bin/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	--python .venv/bin/python --python-version 3.11 --custom-compile-command 'make lock' $(ARGS)

clean: ## remove the environments and caches; results stay
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find bench kernels tests -name __pycache__ -prune -exec rm -rf {} +

# Made anew where its Python doesn't run or is not the PYTHON that was asked for, and where the file
# unfinished says that something stopped while packages changed (bench.machine.packages removes it).
have := $(if $(wildcard .venv/unfinished),,$(shell .venv/bin/python --version 2>/dev/null))
want := $(if $(filter file,$(origin PYTHON)),$(have),$(shell "$(PYTHON)" --version 2>/dev/null))

ifneq ($(have),$(or $(want),none))
.venv: FORCE
endif

.venv:
	$(check-python)
	@echo "setting up .venv (once; about ten seconds)"
	@rm -rf .venv && mkdir .venv && touch .venv/unfinished
	@"$(PYTHON)" -m venv .venv
	@$(install-uv) 2>/dev/null || echo "note: uv can't be had here, and pip is slower"

# a wheel or nothing: to build uv needs Rust
install-uv = .venv/bin/python -m pip install --quiet --retries 1 --no-compile --only-binary :all: \
	--require-hashes -r locks/uv.txt

gpu-word:
	@case "$$GPU" in auto|none|cuda12|cuda13) ;; *) \
		echo "error: GPU=$$GPU is none of auto, none, cuda12, cuda13 (it may come from the environment)" >&2; exit 1;; esac

define check-python
@"$(PYTHON)" -c "" 2>/dev/null || { \
	echo "error: can't run $(PYTHON): install Python 3.11 or newer, or name one: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	echo "error: $(PYTHON) is $$("$(PYTHON)" --version 2>&1), and 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
@"$(PYTHON)" -c "import venv, ensurepip" 2>/dev/null || { \
	echo "error: $(PYTHON) has no venv: apt install python3-venv, or name another Python: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
endef
