"""Fit one adapter: batches that share prefixes, the forward pass that trains only the adapter's part, the loop."""
