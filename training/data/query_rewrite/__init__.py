"""Training rows of the `query_rewrite` adapter: a conversation in, its last turn as a standalone query
out."""
