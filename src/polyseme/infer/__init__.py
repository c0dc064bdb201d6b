"""Fast use of a trained run."""
