"""Callbacks of a training: checkpoints, averages, guards, pictures and progress."""
