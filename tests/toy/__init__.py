"""Toy stages for the tests of training."""
