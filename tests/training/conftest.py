import pytest
from small_trials import SMALL

from effnet.demo.folder import make_demo


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Values of a trial of three epochs on drawn cars."""
    data = make_demo(tmp_path_factory.mktemp("data") / "smoke", size="smoke")
    return SMALL | {"data_dir": str(data)}
