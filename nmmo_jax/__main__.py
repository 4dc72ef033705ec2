"""``nmmo-jax``, or ``python -m nmmo_jax``."""

from nmmo_jax.common import entry


def main() -> None:
    """Runs ``nmmo-jax``, and exits."""

    def command():
        from nmmo_jax.cli import main  # once signals are handled: it takes seconds

        main()

    entry.run("nmmo-jax", command)


if __name__ == "__main__":
    main()
