"""Generated data in MovieLens' and TMDB's formats, with known preferences."""
