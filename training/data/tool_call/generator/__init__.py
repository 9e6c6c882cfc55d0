"""Our own requests: function tables over many domains, value samplers, phrasings, and the groups they form."""
