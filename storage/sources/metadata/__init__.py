"""Metadata about movies from files: TMDB and Kaggle exports, IMDb's dumps, mapped tables."""
