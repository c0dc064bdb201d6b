"""The one loop: budgets, learners, checkpoints, run directories."""
