"""How a step runs: one file per stage; retries, cache keys, progress and UI artifacts; references in and out."""
