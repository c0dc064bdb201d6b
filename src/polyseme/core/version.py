"""The version of polyseme."""

__version__ = "0.1.0"
