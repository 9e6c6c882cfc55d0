"""The agent's scorecard: requests of all kinds through the whole loop, with two sets of tools."""
