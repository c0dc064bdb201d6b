"""Labelled files to records."""
