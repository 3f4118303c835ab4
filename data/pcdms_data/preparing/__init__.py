"""Preparation: a dataset as it comes is checked whole, then written as Arrow tables."""
