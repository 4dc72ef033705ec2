"""The systems of the game: pure functions over the tables, one file each."""
