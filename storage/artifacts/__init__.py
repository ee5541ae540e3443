"""Artifact folders: immutable, content-hashed, published to and pulled from object stores."""
