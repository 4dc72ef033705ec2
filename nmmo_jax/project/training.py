"""Training with levels of one's own: a God that rewards exploration, a Sword with another network.

python -m nmmo_jax.project.training law16 --updates 100 --system nmmo_jax.project.fishing:FISHING \
    --set visits=true shared_weights=false core=none

It takes all options of ``nmmo-jax train``; ``nmmo-jax evaluate`` and ``nmmo-jax watch`` read the folder that it leaves.
"""

from nmmo_jax.cli import train
from train.examples.explorer import Explorer
from train.examples.own_network import Own
from train.trinity import Trinity

if __name__ == "__main__":
    train(Trinity(god=Explorer, sword=Own))
