"""The report: a page for people and the same content as JSON."""
