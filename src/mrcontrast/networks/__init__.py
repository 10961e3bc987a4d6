"""What MONAI's networks lack."""
