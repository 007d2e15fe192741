# The README's two commands are `make quickstart` and `make test`. Each makes .venv by itself.
PYTHON ?= python3
BIN := .venv/bin
# Two busy threads in each of two test processes wait for each other most of the time.
export OMP_NUM_THREADS ?= 1

.PHONY: quickstart test lint reliability interop fuzz clean

quickstart: .venv/installed
	OMP_NUM_THREADS=2 $(BIN)/standout quickstart

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS)

lint: .venv/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The long fault figures: half an hour on an idle core; their results are kept under docs/results.
reliability: .venv/installed
	$(BIN)/python benchmarks/mutate_pictures.py --pictures 2000 --masks 500
	$(BIN)/python benchmarks/damage_checkpoints.py --flips 200 --refusals 20
	$(BIN)/python benchmarks/kill_training.py --kills 100
	$(BIN)/python benchmarks/deep_properties.py
	$(BIN)/python benchmarks/results_page.py
	$(BIN)/python benchmarks/scorecard.py

# Networks of other libraries, in an environment of its own: several GB.
interop: .venv-interop/installed
	.venv-interop/bin/python -m pytest tests/interop tests/networks/test_bridges.py

.venv-interop/installed: pyproject.toml
	$(PYTHON) -m venv .venv-interop
	.venv-interop/bin/python -m pip install --quiet --editable '.[all,dev,interop]'
	touch $@

# The measures' C kernel under AddressSanitizer and UBSan, against NumPy's path.
fuzz: .venv/installed
	$(BIN)/python benchmarks/fuzz_kernel.py --seconds 60

.venv/installed: pyproject.toml constraints.txt setup.py src/standout/metrics/_kernel.c
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "standout needs Python 3.11 or later: make PYTHON=python3.11"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $@

clean:
	rm -rf .venv .venv-interop build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
