"""Populations that learn: networks and what is drawn from them."""
