"""What ``nmmo-jax new`` copies: a project of one's own, a system, a study, a training program and their tests."""
