"""Where a class keeps defaults beside the YAML's, the two agree."""

from dataclasses import asdict

from omegaconf import OmegaConf

from mrcontrast.config.build import build, compose
from mrcontrast.phantom import PhantomConfig


def test_the_phantom_of_the_recipe_is_that_of_the_class():
    config = compose("prepare", ["recipe=phantom", "recipe.grid.spacing_mm=2.0"])
    from_yaml = OmegaConf.create(asdict(build(config.recipe.sources[0].config)))
    assert from_yaml == OmegaConf.create(asdict(PhantomConfig()))
