"""Is the adapter better than the prompted base? Metrics, paired comparison, calibration and the gate's verdict."""
