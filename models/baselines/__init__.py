"""Baselines: each file holds a method that is fit on training events and scores all items for a history."""
