"""Translate volumes with a trained stage."""
