"""Training data of the tool_call adapter: public sets, our own generator, and the build that mixes them."""
