"""Formats of other programs: import and export."""
