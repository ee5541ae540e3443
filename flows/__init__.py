"""Prefect flows, one file per flow; the command line and the example profiles are in folders of this package."""
