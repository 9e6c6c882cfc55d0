"""Time per structured call, against transformers' `generate` under outlines, xgrammar and llguidance."""
