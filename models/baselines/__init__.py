"""What a policy must beat."""
