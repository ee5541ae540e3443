"""MovieLens releases: movies, ratings, tags."""
