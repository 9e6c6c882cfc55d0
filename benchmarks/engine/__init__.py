"""The engine against what people would use instead, on the same base, adapters, prompts and schemas, in one run.

`cases.py` says what is measured, `ours.py` and `peers.py` do it, `__main__.py` alternates them and reports ratios.
"""
