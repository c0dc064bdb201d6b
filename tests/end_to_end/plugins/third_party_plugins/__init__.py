"""A package that another program's authors could have written: a model, an objective and a task for polyseme."""
