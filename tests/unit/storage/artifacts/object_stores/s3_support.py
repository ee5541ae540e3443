"""Credentials that no message may show."""

SECRETS = ("AKIAACCESSKEY", "a-secret-key")
