"""The lecture, replayed: every claim of the line from 1-of-N to GPT, measured on a text and drawn.

    text ──► room ──► runs, files labelled by the text itself ──► chapters ──► JSON of each ──► one page

room.py        what a chapter works with: the text, runs that are trained when they are first asked for, sizes
texts.py       the text as sentences and words; material.py: files with labels that the text itself gives
chapter.py     what a chapter is: a claim, how it is measured, how that is shown
giving.py      one chapter after another; what is done is kept
page.py        the page

Every other file is a chapter: a new one is one file with an ENTRY, or a third party's entry point of the group
`polyseme.lecture`. A chapter calls what verbs call, and shows it by report/; it has no study of its own.
"""
