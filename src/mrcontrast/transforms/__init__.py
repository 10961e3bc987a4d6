"""Geometry and intensity of one volume: what MONAI lacks, invertible."""
