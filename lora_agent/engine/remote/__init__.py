"""The engine on servers of others: vLLM, or what speaks its API. `Engine.connect` opens it."""
