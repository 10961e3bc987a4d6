"""Diffusion in four parts that do not know each other's choices.

A schedule says how much data and noise there is at time ``t``, a target says what the network
regresses, a time sampler says which times are trained, a sampler walks from noise to data.
Time runs from 0 (data) to 1 (noise) everywhere.
"""
