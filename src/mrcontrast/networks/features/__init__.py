"""Frozen feature networks, loaded from local files: what perceptual measures look through."""
