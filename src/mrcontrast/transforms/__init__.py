"""Invertible transforms of the geometry and intensity of one volume."""
