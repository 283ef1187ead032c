# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test unit lint types format bench clean

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[inception,dev]'
	touch $(STAMP)

demo: $(STAMP)  ## the whole way on a built-in corpus, minutes on two CPU cores
	$(BIN)/smearkit demo --out demo-out

test: lint types unit  ## everything that CI runs
	$(BIN)/python -m pytest -m e2e

# One thread each, or two workers on two cores would wait for each other's threads.
unit: export OMP_NUM_THREADS = 1
unit: $(STAMP)  ## the quick tests
	$(BIN)/python -m pytest -n 2 -m 'not e2e'

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)  ## speed as ratios against named baselines
	$(BIN)/python scripts/bench.py

clean:
	rm -rf $(VENV) demo-out out
