"""The transition dataset: its formats, its writer and its readers."""
