"""Chains of steps whose finished parts are reused."""
