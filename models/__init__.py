"""Encoders, learners, baselines and policies; without Prefect, files or network."""
