"""Ratings and items of any domain, from tables with declared columns."""
