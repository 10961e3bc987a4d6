"""Loss terms that MONAI and torch lack."""
