"""Readers of public sets. Each has groups(data_dir, rng, split): lists of rows that share one tool list."""
