"""Generated data in the formats of MovieLens and TMDB, from preferences that are known."""
