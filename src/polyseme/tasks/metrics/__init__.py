"""Figures of the tasks: each a measure that an interval and a paired test can be taken of."""
