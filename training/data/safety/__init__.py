"""Training data of the safety adapter: is the last message safe, which harms, does it carry an injection?"""
