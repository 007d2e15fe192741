# The README's two commands are `make quickstart` and `make test`. Each makes .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
# Two busy threads in each of two test processes wait for each other most of the time.
export OMP_NUM_THREADS ?= 1
FUZZ_SECONDS ?= 60

.PHONY: quickstart test lint reliability interop fuzz wheel lock audit clean

quickstart: .venv/installed
	OMP_NUM_THREADS=2 $(BIN)/standout quickstart

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long fault figures, on generated pictures: an hour and more on an idle core; their results are kept under docs/results.
reliability: .venv/installed
	$(BIN)/python benchmarks/mutate_pictures.py --pictures 2000 --masks 500
	$(BIN)/python benchmarks/damage_checkpoints.py --flips 200 --refusals 20
	$(BIN)/python benchmarks/kill_training.py --kills 100
	$(BIN)/python benchmarks/kill_lifelong.py --kills 26
	$(BIN)/python benchmarks/deep_properties.py
	$(BIN)/python benchmarks/folder_memory.py --files 100000
	$(BIN)/python benchmarks/results_page.py
	$(BIN)/python benchmarks/scorecard.py

# Networks of other libraries, in an environment of its own: several GB where torch is its build with CUDA.
interop: .venv-interop/installed
	STANDOUT_INTEROP=required .venv-interop/bin/python -m pytest tests/interop tests/networks/test_bridges.py

.venv-interop/installed: pyproject.toml constraints.txt locked.txt
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --no-deps --require-hashes --requirement locked.txt
	.venv-interop/bin/python -m pip install --quiet --constraint constraints.txt --no-build-isolation \
	  --editable '.[all,dev,interop]'
	touch $@

# The measures' C kernel under AddressSanitizer and UBSan, against NumPy's path; without gcc's sanitizers it says so.
fuzz: .venv/installed
	$(BIN)/python benchmarks/fuzz_kernel.py --seconds $(FUZZ_SECONDS)

# The same sources give the same bytes. It builds with what is installed, and fetches nothing.
wheel: .venv/installed
	$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir build/wheel .

# The sha256 of every file of the known-good set, written anew after constraints.txt was changed.
lock: build/tools/installed
	build/tools/bin/uv pip compile --quiet --no-deps --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-package torch --output-file build/locked.txt constraints.txt
	build/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --constraint constraints.txt --output-file build/locked-core.txt pyproject.toml
	{ sed -n '/^#/p' locked.txt; cat build/locked.txt; } > build/new.txt && mv build/new.txt locked.txt
	{ sed -n '/^#/p' locked-core.txt; cat build/locked-core.txt; } > build/new.txt && mv build/new.txt locked-core.txt
	$(BIN)/python benchmarks/third_party.py

# Fails on a known hole in what is pinned; run weekly by .github/workflows/audit.yml.
audit: build/tools/installed
	build/tools/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

build/tools/installed:
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet uv==0.13.9 pip-audit==2.10.1
	touch $@

.venv/installed: pyproject.toml constraints.txt locked.txt setup.py $(wildcard src/kernel/*)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "standout needs Python 3.11 or later: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement locked.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[all,dev]'
	touch $@

clean:
	rm -rf .venv .venv-interop build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
