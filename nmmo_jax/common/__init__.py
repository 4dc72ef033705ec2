"""What every program needs and that knows nothing of the game: files, folders, signals, text, progress, figures."""
