"""Labelled files to records: texts with classes, tokens with tags, questions with answers."""
