"""Agents that people play: who they are, and what each does in the coming tick."""

import threading

from nmmo_jax.actions import heads
from nmmo_jax.play.playing import HumanActions
from nmmo_jax.replay import Replay
from nmmo_jax.viewer.protocol import is_of_agents
from nmmo_jax.viewer.scene import slot_of


class Control:
    """What people have chosen for the agents that they took, which do nothing else."""

    def __init__(self):
        self._lock = threading.Lock()
        self._choices: dict[int, dict[str, int]] = {}  # by uid, then argument; of agents, their uid

    def take(self, uid: int) -> None:
        """An agent does nothing from now on but what ``act`` says."""
        with self._lock:
            self._choices[uid] = {}

    def release(self, uid: int) -> None:
        """It plays by itself again."""
        with self._lock:
            self._choices.pop(uid, None)

    def clear(self) -> None:
        """All play by themselves again."""
        with self._lock:
            self._choices.clear()

    def is_taken(self, uid: int | None) -> bool:
        """Whether somebody plays that agent."""
        return uid in self._choices

    def act(self, uid: int, choices: dict[str, int]) -> None:
        """What an agent that was taken does in the coming tick, as of ``choice_fields``.

        An argument that is not given stays as chosen before in the same tick, and is nothing where it was not.
        """
        with self._lock:
            if uid in self._choices:
                self._choices[uid] |= choices

    def next_actions(self, replay: Replay, index: int) -> HumanActions:
        """What was chosen, for the tick after a frame; it is forgotten, and so is who has died."""
        actions = HumanActions(replay.config)
        arguments = [argument for head in heads(replay.config) for argument in head.arguments]
        of_agents = {argument.name for argument in arguments if is_of_agents(argument, replay.config)}
        with self._lock:
            for uid, choices in list(self._choices.items()):
                slot = slot_of(replay, index, uid)
                if slot is None:
                    del self._choices[uid]
                    continue
                actions.taken[slot] = True
                for name, choice in choices.items():
                    chosen = slot_of(replay, index, choice) if name in of_agents else choice
                    actions.choices[name][slot] = -1 if chosen is None else chosen
                self._choices[uid] = {}
        return actions
