"""Tissue classes of T1w images, by one method for real and synthetic ones alike."""
