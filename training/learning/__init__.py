"""How an adapter learns, where that is not from targets alone: preferences and rewards through TRL's trainers, a
teacher's probabilities through our own loop.

Each trainer of TRL is imported in one file (`dpo.py`, `kto.py`, `grpo.py`); `trainer.py` is what they share.
"""
