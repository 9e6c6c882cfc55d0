"""Who writes targets for lines that have none: an endpoint over HTTP, another local model, or the base itself.

`questions.py` says what a teacher is asked, `ask.py` gets the answers through `cache.py` from `endpoint.py` or
`local.py`, `choose.py` takes one of them or says why none will do.
"""
