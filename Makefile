# The verbs of this project. Needed on the machine: Python >= 3.11 with pip, and make.
PYTHON ?= python3
RUN := .venv/bin/python -m
# Threads that spin make small passes up to 100 times slower on a busy machine.
export OMP_WAIT_POLICY := PASSIVE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# An environment whose Python is gone (an upgrade, a moved folder) is made anew.
ifneq ($(shell .venv/bin/python -c 'print("whole")' 2>/dev/null),whole)
BROKEN := broken
endif

.PHONY: demo test check demo-weights $(BROKEN)
demo: .venv/ready
	$(RUN) amiss demo --out runs/demo

test: .venv/ready
	$(RUN) pytest -n 2 --cov --cov-fail-under=100

check: .venv/ready
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) mypy
	$(RUN) pytest -q tests/test_layers.py

demo-weights: .venv/ready
	$(RUN) amiss.bench.demo_weights

.venv/ready: pyproject.toml constraints.txt $(BROKEN)
	@echo "Setting up .venv: a minute or two, and about a gigabyte ..."
	@$(RUN) pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(RUN) pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
