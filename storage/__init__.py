"""Every byte outside the process: sources, the transition dataset, checkpoints, artifacts, the object store."""
