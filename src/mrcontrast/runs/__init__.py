"""Run folders: config, weights, provenance."""
