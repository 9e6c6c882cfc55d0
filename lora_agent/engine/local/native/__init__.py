"""The base's forward pass in C, for CPUs with AVX2: 4-bit weights as they are stored, any mix of rows and adapters.

`forward.c` computes, `library.py` finds the compiled file, `weights.py` lays out a checkpoint, `model.py` calls,
`cache.py` holds keys and values, `bank.py` adapters, and `runner.py` is what sessions and batches see. Where any of it
is missing (another CPU, no compiler at install, another architecture) the checkpoint runs through transformers.
"""
