"""plan → data → probe → fit → validate → gate → package: one module each, one JSON report each."""
