"""Frozen feature networks for perceptual measures, loaded from local files."""
