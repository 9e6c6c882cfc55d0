"""Training data of the router: which adapter should take the next step of a conversation?"""
