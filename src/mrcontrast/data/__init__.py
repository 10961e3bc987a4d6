"""Prepared data sets: manifest, splits, items, caches."""
