"""``python -m nmmo_jax``: the command ``nmmo-jax``."""

from nmmo_jax.entry import main

if __name__ == "__main__":
    main()
