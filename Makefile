# The three verbs of this project. Needed on the machine: Python >= 3.11, make, pip.
PYTHON ?= python3
BIN := .venv/bin
# Threads that spin make small passes up to 100 times slower on a busy machine.
export OMP_WAIT_POLICY := PASSIVE

.PHONY: demo test check demo-weights
demo: .venv/ready
	$(BIN)/amiss demo --out runs/demo

test: .venv/ready
	$(BIN)/pytest -n 2

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py

demo-weights: .venv/ready
	$(BIN)/python -m amiss.bench.demo_weights

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@
