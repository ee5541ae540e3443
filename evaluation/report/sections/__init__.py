"""The sections of the report: a folder each, with its numbers, its charts and its template."""
