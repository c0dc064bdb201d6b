"""Figures of the tasks: measures with intervals and paired tests."""
