"""MovieLens releases: fetched, unpacked, recognised, and read as ratings, movies, tags and the tag genome."""
