"""Recommendations from a stored policy: one recommender for the command line, the HTTP API and Python."""
