# Two commands for users: `make demo` and `make test`. Both set up a virtual environment first.
# Needs: Python 3.11 or later, make, a C library. PYTHON=python3.12 make test chooses the interpreter.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.voxarium-installed
JOBS   ?= 2
FUZZ_SECONDS ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup demo test check unit docs bench fuzz clean

help:  ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /	/' | expand -t 12

setup: $(STAMP)  ## Make .venv with everything that tests and the demo need

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $$($(PYTHON) --version) is too old" >&2; \
		     echo "fix: name a newer one, such as make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test]'
	@touch $@

demo: setup  ## Make a specimen, convert it, look at it (in demo/)
	$(BIN)/python examples/demo.py demo

check: setup  ## Lint, format, types, layers, generated docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/generate.py --check

unit: setup  ## Tests only
	$(BIN)/python -m pytest -n $(JOBS)

test: check unit  ## Everything that must hold

docs: setup  ## Write the generated parts of the documentation anew
	$(BIN)/python docs/generate.py

bench:  ## Measure against other tools, in an environment of their own (see benchmarks/)
	test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install -q -e '.[bench]'
	.venv-bench/bin/python benchmarks/run.py

fuzz: setup  ## Throw bytes at everything that reads files, FUZZ_SECONDS=20 for each module
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[test,fuzz]'
	$(BIN)/python fuzz/run.py --seconds $(FUZZ_SECONDS) --jobs $(JOBS)

clean:  ## Remove everything that was made, .venv included
	rm -rf $(VENV) .venv-bench demo build dist benchmarks/volumes .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -rf fuzz/targets fuzz/corpus fuzz/findings
	find src tests docs examples benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
