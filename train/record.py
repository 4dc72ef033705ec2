"""What was learned, to be looked at: a replay in a world not seen in training, and a film of a part of it."""

from collections.abc import Callable
from pathlib import Path

from nmmo_jax.common.files import write
from nmmo_jax.environment import Environment
from nmmo_jax.play.players import Players
from nmmo_jax.play.playing import Play
from nmmo_jax.replay_file import save_replay
from nmmo_jax.viewer.film import write_gif
from nmmo_jax.viewer.render import Painter
from nmmo_jax.world.pool import MapPool
from train.policy import Policy

TICKS = 256  # of the replay
_MOST = 2**22  # agent-ticks of it; in a crowd it is shorter
_WINDOW, _SCALE, _FPS = 48, 8, 10.0  # tiles, pixels per tile, pictures per second: a film of two MB or so


def record(
    out: Path, policy: Policy, env: Environment, *, settle: int, seed: int, on_progress: Callable[[int], None]
) -> None:
    """Writes replay.npz and world.gif, of the part of the map where most agents are.

    Args:
      out: folder of the run.
      policy: for ``env``.
      settle: ticks that are played before.
      seed: of map, births and play; other than that of training.
      on_progress: called now and then with a number; may raise.
    """
    names = [out.resolve().name] * env.config.num_populations
    pool = MapPool.generated(seed, 1, env.config, split="held_out")
    title = f"{names[0]}, on a map not seen in training"
    play = Play(env, Players(policy.act, policy.params, policy.initial), names, pool, seed=seed, title=title)
    ticks = min(TICKS, _MOST // env.config.num_agents)
    replay = play.run(settle + ticks).cut(settle, settle + ticks)
    on_progress(0)
    save_replay(replay, out / "replay.npz")
    painter = Painter(replay, range(len(replay) + 1), _SCALE, _WINDOW)
    write(out / "world.gif", lambda file: write_gif(file, painter, _FPS, on_progress))
