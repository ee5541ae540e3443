"""Training in an environment, with Stable-Baselines3 (the extra `marquee[online]`); the results are ordinary policies."""
