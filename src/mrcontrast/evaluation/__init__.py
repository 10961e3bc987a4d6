"""Score predictions against references, and compare methods."""
