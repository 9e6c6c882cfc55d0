"""What structured output does with schemas that people wrote: coverage, exactness, time and memory."""
