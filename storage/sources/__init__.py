"""Where raw ratings and metadata come from."""
