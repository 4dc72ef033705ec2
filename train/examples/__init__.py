"""What can be overridden in training, by example. Each is a program with the options of ``nmmo-jax train``."""
