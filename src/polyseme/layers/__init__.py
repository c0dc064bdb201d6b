"""The bricks that models share."""
