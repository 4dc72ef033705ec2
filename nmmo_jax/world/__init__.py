"""Worlds: materials, terrain generation, Tiled maps and pools of maps."""
