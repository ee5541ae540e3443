"""Artifact folders: written once, verified by hash, published to and downloaded from object stores."""
