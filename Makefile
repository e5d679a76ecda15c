# make demo   train by each gradient method, print the table, write report/
# make test   install and run all tests
# make lint   what .ci/run checks besides
# make docs   the documentation as a site, in build/docs; a warning is an error
# make kernels  compile the device code of all cells for three GPU architectures; no GPU is needed
# make bench  the benchmarks with their targets; make scaling, the table beside other simulators, in bench/results/
# make wheel  a source distribution, and a wheel from it, in dist/
# make fuzz   100,000 random calls of the engines; make sanitize-fuzz, under the sanitizers
# make soak   100,000 training updates with flat memory
# make sanitize           the tests under AddressSanitizer and UndefinedBehaviorSanitizer
# make sanitize-threads   those that use threads under ThreadSanitizer
# make tidy   clang-tidy
# All work in .venv, which is made on first use; VENV=... names another place, PYTHON=python3.12 (say) another
# interpreter, and PACKAGE=dist/NAME.whl installs that wheel in place of the sources. Tests run WORKERS at a time.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.PHONY: demo test lint docs kernels format bench scaling wheel fuzz soak sanitize sanitize-fuzz sanitize-threads tidy clean

PYTHON ?= python3
VENV ?= .venv
PACKAGE ?= .
WORKERS ?= 2
TORCH := $(shell grep '^torch==' constraints.txt)
BIN := $(VENV)/bin
IN_PARALLEL := -n $(WORKERS) --dist worksteal
PIP := $(BIN)/python -m pip install --disable-pip-version-check
CXX_SOURCES := $(shell find csrc tests/cuda -name '*.cpp' -o -name '*.hpp' -o -name '*.inl' -o -name '*.cuh')
SOURCES := CMakeLists.txt README.md LICENSE $(shell find csrc -type f) \
	$(shell find python -name '*.py' -o -name '*.pyi' -o -name 'py.typed')

export CMAKE_BUILD_PARALLEL_LEVEL ?= 2
export PIP_CONSTRAINT := constraints.txt

demo: $(VENV)/package
	rm -rf report
	$(BIN)/qrnn-fast demo --out report

test: $(VENV)/package
	$(BIN)/python -m pytest $(IN_PARALLEL)

lint: $(VENV)/package docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES)

docs: $(VENV)/package
	$(BIN)/sphinx-build -W --keep-going -n -q -E docs build/docs

kernels: $(VENV)/package
	$(BIN)/python tests/compile_kernels.py

format: $(VENV)/package
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/clang-format -i $(CXX_SOURCES)

bench: $(VENV)/package
	$(BIN)/python -m pytest bench -s --benchmark-columns=median,iqr,rounds

scaling: $(VENV)/package
	$(BIN)/python bench/scaling.py --out bench/results/scaling.json

clean:
	rm -rf .venv build dist report .pytest_cache .hypothesis .benchmarks .mypy_cache .ruff_cache

# The dependencies first, and PyTorch, the largest, before all others: they stay when only the sources change.
$(VENV)/dependencies: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON); install Python 3.11 or newer, or name it: make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "make: qrnn_fast needs Python 3.11 or newer, and $(PYTHON) is %d.%d; name a newer one: make PYTHON=..." % v[:2])'
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { echo "make: there is no C++ compiler; install GCC" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) $(TORCH)
	$(PIP) $$($(BIN)/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; e = p["optional-dependencies"]; print(*(d.replace(" ", "") for d in p["dependencies"] + e["experiments"] + e["docs"] + e["dev"]))')
	touch $@

$(VENV)/package: $(VENV)/dependencies $(SOURCES)
	$(PIP) --no-deps --no-build-isolation --force-reinstall $(PACKAGE)
	touch $@

# Nothing is downloaded: what the build needs lies in the environment, and the wheel is built from the source
# distribution's files alone.
wheel: $(VENV)/dependencies
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	@$(BIN)/python -c 'import pathlib, sys; w, = pathlib.Path("dist").glob("*.whl"); mb = w.stat().st_size / 1e6; print(f"{w}: {mb:.2f} MB"); sys.exit("make: the wheel has 5 MB or more" if mb >= 5 else 0)'

# The extension with sanitizers, in a folder that PYTHONPATH puts before the installed one.
build/%/package: $(VENV)/dependencies $(SOURCES)
	rm -rf build/$*/site
	$(PIP) --no-deps --no-build-isolation --target build/$*/site --config-settings=build-dir=build/$*/cmake \
		--config-settings=install.strip=false --config-settings=cmake.define.QRNN_SANITIZE=$(SANITIZERS_$*) .
	touch $@

SANITIZERS_address := address,undefined
SANITIZERS_thread := thread
# The sanitizers' libraries must be there before Python's first allocation. What Python never frees is no leak.
PRELOADED = LD_PRELOAD="$$($(CXX) -print-file-name=$(1)) $$($(CXX) -print-file-name=libstdc++.so.6)"
UNDER_ADDRESS = PYTHONPATH=$(CURDIR)/build/address/site $(call PRELOADED,libasan.so) ASAN_OPTIONS=detect_leaks=0
UNDER_THREAD = PYTHONPATH=$(CURDIR)/build/thread/site $(call PRELOADED,libtsan.so) TSAN_OPTIONS=ignore_noninstrumented_modules=1

sanitize: build/address/package
	$(UNDER_ADDRESS) $(BIN)/python -m pytest $(IN_PARALLEL) -p no:cacheprovider -m "not limits"

sanitize-threads: build/thread/package
	$(UNDER_THREAD) $(BIN)/python -m pytest -p no:cacheprovider tests/test_engine.py tests/test_trajectories.py \
		tests/test_processes.py -k "threads or bits or share"

fuzz: $(VENV)/package
	$(BIN)/python tests/fuzz.py 100000

sanitize-fuzz: build/address/package
	$(UNDER_ADDRESS) $(BIN)/python tests/fuzz.py 100000

soak: $(VENV)/package
	$(BIN)/python bench/soak.py

# Of the kernels, the baseline's; the others are the same source.
tidy: $(VENV)/dependencies
	$(BIN)/clang-tidy --quiet --warnings-as-errors='*' $(filter-out %_avx2.cpp %_avx512.cpp,$(shell find csrc -name '*.cpp')) -- \
		-std=c++20 -Icsrc -Wno-unknown-pragmas $$($(BIN)/python -m pybind11 --includes | sed 's/-I/-isystem /g')
