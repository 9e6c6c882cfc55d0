"""Train the router's head: features of the base's prefill → which adapter takes the next step."""
