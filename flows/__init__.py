"""What runs: one file per deployment, wiring only, and the command line."""
