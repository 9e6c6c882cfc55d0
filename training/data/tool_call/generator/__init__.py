"""Our own requests: function tables over many domains, value samplers, phrasings, and groups of rows."""
