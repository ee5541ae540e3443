"""How methods are compared: cases, rankings, metrics and statistics."""
