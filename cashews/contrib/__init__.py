"""Integrations: HTTP, and the frameworks and tools that speak it. Each module imports the one that it is for."""
