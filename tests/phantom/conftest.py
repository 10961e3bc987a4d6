import pytest

from mrcontrast.phantom import PhantomConfig, PhantomSubject, make_subject


@pytest.fixture(scope="session")
def subjects() -> list[PhantomSubject]:
    """Four subjects at 3 mm, both field strengths among them."""
    config = PhantomConfig(spacing_mm=3.0, anatomy_spacing_mm=1.5)
    return [make_subject(seed, config) for seed in (0, 3, 5, 9)]


@pytest.fixture
def coarse() -> PhantomConfig:
    """A config that builds in a fraction of a second."""
    return PhantomConfig(spacing_mm=4.0, anatomy_spacing_mm=2.0)
