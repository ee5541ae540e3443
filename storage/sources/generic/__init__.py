"""Ratings and items of any domain, read from tables whose columns are declared."""
