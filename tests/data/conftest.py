"""What the tests of data sets share."""

from types import SimpleNamespace

import pytest
from mmengine.dataset import base_dataset


@pytest.fixture(autouse=True)
def _uncollected_garbage(monkeypatch):
    # MMEngine collects garbage whenever it has read a data set, and with torch loaded that takes half a second.
    monkeypatch.setattr(base_dataset, 'gc', SimpleNamespace(collect=lambda: 0))
