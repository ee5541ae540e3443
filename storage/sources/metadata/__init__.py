"""Metadata about movies from files: known exports (`dialects`), tables with declared columns, and IMDb's datasets."""
