# demo   seven requests through the agent, step by step     test   the fast tests
# check  lint, format, types, import direction              bench  the benchmarks
#
# Each target installs what it needs into .venv first, and only when pyproject.toml or constraints.txt changed.
# On a machine without a GPU, see the head of constraints.txt for the smaller CPU build of torch.

.PHONY: demo test check bench
.DEFAULT_GOAL := test

demo: .venv/.stamp
	.venv/bin/python examples/demo.py

test: .venv/.stamp
	.venv/bin/python -m pytest

check: .venv/.stamp
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy
	.venv/bin/python -m pytest -q tests/project/test_imports.py

bench: .venv/.stamp
	.venv/bin/python -m benchmarks

# The first interpreter that runs and is new enough wins; an existing .venv is kept.
.venv/.stamp: pyproject.toml setup.py constraints.txt
	@set -e; for python in python3.11 python3 python; do \
	  if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
	  echo "error: lora-agent needs Python 3.11 or newer; found: $$(python3 --version 2>&1 || echo none)" >&2; \
	  echo "  install it, or put it on PATH as python3" >&2; exit 2; \
	fi; \
	if [ ! -x .venv/bin/python ]; then echo "$$found -m venv .venv"; $$found -m venv .venv; fi
	.venv/bin/python -m pip install --quiet -c constraints.txt -e ".[train,dev]"
	@touch $@
