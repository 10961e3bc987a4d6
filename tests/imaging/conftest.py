"""Where real scans are."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Path:
    source = os.environ.get("MRCONTRAST_REAL_DATA")
    if not source:
        pytest.skip("MRCONTRAST_REAL_DATA does not name the folder of openms-raw and openms-mni")
    return Path(source)
