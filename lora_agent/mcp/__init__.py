"""The Model Context Protocol, both ways: adapters as tools for other agents, tools of other servers for ours."""
