"""Encoding of items: feature blocks, text encoders, and the reduction to embeddings."""
