"""Adapters made of adapters: weighted combinations and merging into the base, through PEFT, without training."""
