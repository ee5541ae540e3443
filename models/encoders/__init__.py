"""What turns raw columns into item embeddings."""
