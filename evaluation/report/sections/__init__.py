"""The report's parts: one file each, with its numbers, its charts and a template of the same name."""
