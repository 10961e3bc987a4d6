"""Baseline: latent diffusion whose denoiser sees FLAIR beside the noisy T1w latent."""

from mrcontrast.stages.latent_translation import LatentTranslation


class ConcatDiffusion(LatentTranslation):
    """Learn p(T1w latent | FLAIR) with a denoiser that takes FLAIR as further channels.

    One network learns from the first step with its condition in sight, where a ControlNet steers
    a model that was trained without one. Arguments: ``LatentTranslation``.

    Source: Rombach et al. 2022, arXiv 2112.10752, section 3.3 and 4.3.2, concatenation.
    """
