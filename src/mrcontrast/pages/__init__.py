"""HTML templates and their style."""
