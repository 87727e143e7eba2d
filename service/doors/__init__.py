"""The doors: thin, all calling the same few functions."""
