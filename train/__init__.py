"""Populations that learn: networks and what is drawn from them."""

import nmmo_jax as _nmmo_jax  # noqa: F401 - first: see there what comes before all else
