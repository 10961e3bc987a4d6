"""What registration does to a session: affines move, voxels do not."""

import numpy as np
import pytest

from mrcontrast.errors import MrcontrastError, UsageError
from mrcontrast.imaging.registration import Registration
from mrcontrast.preparation.operators import Register, ToMni
from mrcontrast.preparation.operators import registration as module
from mrcontrast.preparation.subject import RefusedError, Subject
from preparation_files import brain, raw_volume

SHIFT = np.eye(4)
SHIFT[:3, 3] = (3.0, -6.0, 9.0)


def found(metric: float = 0.5, matrix: np.ndarray = SHIFT) -> Registration:
    return Registration(matrix, metric, 0.1, 0.0, 11.2)


@pytest.fixture
def subject() -> Subject:
    return Subject({"flair": raw_volume(0, 300), "t1w": raw_volume(1, 900)}, brain())


@pytest.mark.parametrize(("moving", "fixed"), [("t1w", "flair"), ("flair", "t1w")])
def test_only_the_affine_of_the_moving_volume_changes(
    monkeypatch: pytest.MonkeyPatch, subject: Subject, moving: str, fixed: str
) -> None:
    monkeypatch.setattr(module, "register_rigid", lambda *args, **options: found())
    done = Register(fixed)(subject)
    assert done.images[fixed] is subject.images[fixed]
    assert done.images[moving].data is subject.images[moving].data
    # the matrix leads from fixed to moving points: a point at x + shift comes to lie at x
    change = subject.images[moving].affine - done.images[moving].affine
    np.testing.assert_allclose(change[:3, 3], SHIFT[:3, 3])
    assert done.measures["register_metric"] == 0.5
    assert done.brain_mask is subject.brain_mask


def test_both_go_to_mni_together(monkeypatch: pytest.MonkeyPatch, subject: Subject) -> None:
    matrix = SHIFT @ np.diag([0.5, 1, 1, 1])
    monkeypatch.setattr(module, "register_affine", lambda *args, **options: found(0.5, matrix))
    done = ToMni(rigid=False)(subject)
    np.testing.assert_allclose(done.images["flair"].affine, done.images["t1w"].affine)
    assert done.images["flair"].spacing_mm == pytest.approx((6, 3, 3))
    assert done.measures["mni_scale"] == 2.0


@pytest.mark.parametrize(("metric", "flip"), [(0.05, 1), (0.5, -1)])
def test_a_fit_worse_than_none_is_refused(
    monkeypatch: pytest.MonkeyPatch, subject: Subject, metric: float, flip: int
) -> None:
    matrix = SHIFT @ np.diag([flip, 1, 1, 1])
    monkeypatch.setattr(module, "register_affine", lambda *args, **options: found(metric, matrix))
    with pytest.raises(RefusedError, match="worse than none"):
        ToMni(rigid=False)(subject)


def test_names_that_are_none(subject: Subject) -> None:
    with pytest.raises(MrcontrastError, match="flair or t1w, got t2w"):
        Register("t2w")(subject)
    with pytest.raises(UsageError, match="1 or 2 mm"):
        ToMni(resolution_mm=3)
