"""Mood: one label for a text, called by another name than ours."""

from __future__ import annotations

from polyseme.core.entries import TaskEntry
from polyseme.tasks.classify import ENTRY as CLASSIFY
from polyseme.tasks.classify import Classify


class Mood(Classify):
    name = "mood"


ENTRY = TaskEntry(config=CLASSIFY.config, build=Mood)
