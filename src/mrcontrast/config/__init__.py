"""Compose and build configs; messages about them."""
