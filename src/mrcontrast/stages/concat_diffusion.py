"""Baseline: latent diffusion whose denoiser takes the source as further channels."""

from mrcontrast.stages.latent_translation import LatentTranslation


class ConcatDiffusion(LatentTranslation):
    """Learn p(target latent | source) by concatenation of the condition to the noisy latent.

    One network learns with its condition from the first step, where a ControlNet steers a model
    that was trained without one. Arguments: ``LatentTranslation``.

    Source: Rombach et al. 2022, arXiv 2112.10752, section 3.3 and 4.3.2, concatenation.
    """
