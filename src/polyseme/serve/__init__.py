"""The HTTP API and the playground (a later version)."""
