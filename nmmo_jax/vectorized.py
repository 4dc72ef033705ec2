"""Many realms side by side."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from nmmo_jax.actions import Action
from nmmo_jax.autoreset import AutoReset, Episode
from nmmo_jax.components import Realm, Tiles, check_realm
from nmmo_jax.draws import as_key, fold_in
from nmmo_jax.environment import Environment, Info
from nmmo_jax.observations import Observation
from nmmo_jax.rules import Rules, as_rules, rule_ndim
from nmmo_jax.values import check_int, is_traced, plain
from nmmo_jax.world.tiles import check_map, check_spawns

Step = tuple[Observation, Any, jax.Array, jax.Array, jax.Array, Info]


class Vectorized:
    """``Environment`` with a leading realm axis on everything; made by ``vectorize``.

    Realm ``i`` uses ``fold_in(key, first_realm + i)``: a global index, so that splitting the realms over
    devices or calls changes nothing. Rules may have the realm axis or not, leaf by leaf; so may tiles.
    """

    def __init__(self, env: Environment | AutoReset, num_realms: int, first_realm: int | jax.Array = 0):
        self.env, self.num_realms, self.first_realm = env, check_int("num_realms", num_realms, 1), plain(first_realm)
        if not is_traced(self.first_realm):
            self.first_realm = check_int("first_realm", self.first_realm, 0, 2**31 - 1)
        self.config, self.rules = env.config, env.rules

    def __eq__(self, other: object) -> bool:
        """By value, as of environments; a traced ``first_realm`` equals itself alone."""
        return self._value() == other._value() if isinstance(other, Vectorized) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._value())

    def _value(self) -> tuple[Any, ...]:
        first = self.first_realm
        return self.env, self.num_realms, first if isinstance(first, int) else id(first)

    def reset(
        self,
        key: jax.Array,
        rules: Rules | None = None,
        tiles: Tiles | ArrayLike | None = None,
        initial_population: int | None = None,
    ) -> tuple[Observation, Any]:
        """New realms. ``tiles``: one map for all, or one per realm (``[num_realms, rows, columns]``)."""
        rules, rule_axes = self._rules(rules)
        tiles, tile_axis = self._tiles(tiles)

        births = {} if initial_population is None else {"initial_population": initial_population}

        def reset(key, rules, tiles):
            return self.env.reset(key, rules, tiles, **births)

        return jax.vmap(reset, in_axes=(0, rule_axes, tile_axis))(self._keys(key), rules, tiles)

    def step(self, key: jax.Array, realm: Any, action: Action, rules: Rules | None = None) -> Step:
        """One tick of all realms."""
        return self.renew(key, self.advance(key, realm, action, rules), rules)

    def advance(self, key: jax.Array, realm: Any, action: Action, rules: Rules | None = None) -> Step:
        """One tick of all realms, without starting anew: ``renew`` then does what is left of ``step``."""
        rules, axes = self._rules(rules)
        self._check(realm)
        one = self.env.advance if isinstance(self.env, AutoReset) else self.env.step
        return jax.vmap(one, in_axes=(0, 0, 0, axes))(self._keys(key), realm, action, rules)

    def renew(self, key: jax.Array, result: Step, rules: Rules | None = None) -> Step:
        """What ``advance`` returned, where ``autoreset`` has realms that reached their horizon start anew."""
        if not isinstance(self.env, AutoReset):
            return result
        rules, axes = self._rules(rules)
        # One branch for the whole batch: most ticks no realm is renewed, and nothing is paid.
        renew = jax.vmap(self.env.renew, in_axes=(0, axes, 0))
        return jax.lax.cond(
            result[-1].horizon.any(), renew, lambda _k, _r, result: result, self._keys(key), rules, result
        )

    def observe(self, realm: Any, rules: Rules | None = None) -> Observation:
        """What the agents of all realms see now."""
        rules, axes = self._rules(rules)
        self._check(realm)
        return jax.vmap(self.env.observe, in_axes=(0, axes))(realm, rules)

    def _check(self, state: Any) -> None:
        kind = Episode if isinstance(self.env, AutoReset) else Realm
        if not isinstance(state, kind):
            raise ValueError(f"realm: {type(state).__name__}: must be {kind.__name__}, as reset gives it")
        check_realm(state.realm if isinstance(state, Episode) else state, self.config, self.num_realms)

    def _keys(self, key: jax.Array) -> jax.Array:
        key = as_key(key, hint="each realm's own is made of it, fold_in(key, number of the realm)")
        return fold_in(key, self.first_realm + jnp.arange(self.num_realms, dtype=jnp.int32))

    def _rules(self, rules: Rules | None) -> tuple[Rules, Rules]:
        rules = as_rules(self.rules if rules is None else rules, self.config, batched=True)
        axes = {}
        for name, leaf in rules.named().items():
            axes[name] = 0 if leaf.ndim > rule_ndim(name) else None
            if axes[name] == 0 and (leaf.ndim > rule_ndim(name) + 1 or leaf.shape[0] != self.num_realms):
                raise ValueError(
                    f"rules.{name}: shape {leaf.shape}: a realm axis must come first and have "
                    f"num_realms={self.num_realms} entries"
                )
        return rules, Rules.from_named(axes)

    def _tiles(self, tiles: Tiles | ArrayLike | None) -> tuple[Any, int | None]:
        if tiles is None:
            return None, None
        if isinstance(tiles, Tiles):
            check_spawns(tiles)
            axis, number = (0 if tiles.material.ndim == 3 else None), len(tiles.material)
        else:
            if not is_traced(tiles):  # under vmap the values can no longer be checked
                tiles = self._checked(tiles)
            axis, number = (0 if jnp.ndim(tiles) == 3 else None), jnp.shape(tiles)[0]
        if axis == 0 and number != self.num_realms:
            raise ValueError(f"tiles: {number} maps: must be num_realms={self.num_realms}")
        return tiles, axis

    def _checked(self, tiles: ArrayLike) -> jax.Array:
        try:
            array = np.asarray(tiles)
        except ValueError:
            raise ValueError(
                "tiles: of different shapes: must be [rows, columns] or [num_realms, rows, columns]; "
                "MapPool.from_maps takes maps of different size"
            ) from None
        if array.ndim == 3:
            for index, one in enumerate(array):
                check_map(one, self.config, f"tiles[{index}]")
        else:
            check_map(array, self.config, "tiles")
        return jnp.asarray(array)


def vectorize(env: Environment | AutoReset, num_realms: int, first_realm: int | jax.Array = 0) -> Vectorized:
    """``num_realms`` realms side by side.

    Args:
      first_realm: global index of the first, where several calls or devices share the realms of a run.
    """
    return Vectorized(env, num_realms, first_realm)
