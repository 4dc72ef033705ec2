"""The commands of ``nmmo-jax``; the simulator imports nothing from here."""

import logging

# Where nobody can write at home, matplotlib says at each start that it makes do with a temporary folder.
logging.getLogger("matplotlib").addFilter(
    lambda record: not str(record.msg).startswith(("Matplotlib created a temporary", "mkdir -p failed"))
)
