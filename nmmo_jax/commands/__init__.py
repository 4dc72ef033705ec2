"""The commands of ``nmmo-jax``; the simulator imports nothing from here."""
