"""Diffusion in four independent parts: schedule, regression target, training times, sampler.

Time runs from 0 (data) to 1 (noise) everywhere.
"""
