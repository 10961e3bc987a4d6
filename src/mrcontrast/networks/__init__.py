"""Networks, and additions to those of MONAI."""
