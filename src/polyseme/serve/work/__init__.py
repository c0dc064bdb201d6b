"""When requests are done: a queue, a thread that owns the models, the loaded runs."""
