"""Metadata services asked over HTTP, at a limited rate, with cached answers, and with keys kept out of logs and files."""
