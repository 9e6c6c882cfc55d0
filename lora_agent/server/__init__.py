"""The engine over HTTP, in the shape of the OpenAI API. Knows the agent and the engine's protocol; no models."""
