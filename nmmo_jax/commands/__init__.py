"""The commands of ``nmmo-jax``."""
