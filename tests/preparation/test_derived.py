"""Settings of operators that make contrasts."""

import pytest

from mrcontrast.errors import UsageError
from mrcontrast.preparation.operators import Edges


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_a_sigma_out_of_range_is_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match=r"a sigma of 0 or more"):
        Edges("flair", sigma)
