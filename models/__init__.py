"""All that learns or scores: no Prefect, no files, no network."""
