"""The `lora-agent` command. Thin: it reads arguments, calls the library and shows what came back.

One module per command, `main.py` joins them and holds the one place where an error becomes an exit code.
Knows nothing of model internals; torch and transformers are imported only when a command loads an engine.
"""
