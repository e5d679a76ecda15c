# make demo   train by each gradient method, print the table, write report/
# make test   install and run all tests
# make lint   what .ci/run checks besides
# make docs   the documentation as a site, in build/docs; a warning is an error
# make kernels  compile the device code of all cells for three GPU architectures; no GPU is needed
# make bench  the benchmarks with their targets; make scaling, the table beside other simulators, in bench/results/
# All work in .venv, which is made on first use. PYTHON=python3.12 (say) chooses another interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint docs kernels format bench scaling clean

PYTHON ?= python3
TORCH := $(shell grep '^torch==' constraints.txt)
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
CXX_SOURCES := $(shell find csrc tests/cuda -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' -o -name '*.cuh')
SOURCES := $(CXX_SOURCES) csrc/ops/op_table.inc csrc/cuda/embed.cmake CMakeLists.txt README.md LICENSE \
	$(shell find python -name '*.py' -o -name '*.pyi' -o -name 'py.typed')

export CMAKE_BUILD_PARALLEL_LEVEL ?= 2
# The wheel is built in an environment of its own; older versions of pip take its pins from the first name, newer ones
# from the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt

demo: .venv/package
	rm -rf report
	$(BIN)/qrnn-fast demo --out report

test: .venv/package
	$(BIN)/python -m pytest

lint: .venv/package docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)

docs: .venv/package
	$(BIN)/sphinx-build -W --keep-going -n -q -E docs build/docs

kernels: .venv/package
	$(BIN)/python tests/compile_kernels.py

format: .venv/package
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_SOURCES)

bench: .venv/package
	$(BIN)/python -m pytest bench -s --benchmark-columns=median,iqr,rounds

scaling: .venv/package
	$(BIN)/python bench/scaling.py --out bench/results/scaling.json

clean:
	rm -rf .venv build dist report .pytest_cache .hypothesis .benchmarks .mypy_cache .ruff_cache

# The dependencies first, and PyTorch, the largest, before all others: they stay when only the sources change.
.venv/dependencies: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON); install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "make: qrnn_fast needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name a newer one: make PYTHON=..." % v[:2])'
	@command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null || { echo "make: there is no C++ compiler; install GCC or Clang" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) $(TORCH)
	$(PIP) $$($(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; e = p["optional-dependencies"]; print(*(d.replace(" ", "") for d in p["dependencies"] + e["experiments"] + e["docs"] + e["dev"]))')
	touch $@

.venv/package: .venv/dependencies $(SOURCES)
	$(PIP) --no-deps --force-reinstall .
	touch $@
