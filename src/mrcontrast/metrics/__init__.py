"""Image metrics, whole and masked, and their statistics over subjects."""
