"""Shapes of requests and answers of each protocol; no model code."""
