"""Prefect tasks, one file per stage: retries, cache keys, progress and UI artifacts; they pass references to artifacts."""
