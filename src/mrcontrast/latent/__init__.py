"""Latents of a frozen autoencoder: encode, decode, condition, cache."""
