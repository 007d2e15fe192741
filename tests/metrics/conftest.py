"""Every test of the measures runs on both paths, the compiled one and NumPy's."""

import pytest

from standout.metrics import kernel


@pytest.fixture(params=["compiled", "numpy"], scope="module", autouse=True)
def path(request):
    """Run the module's tests on one path; the compiled one is skipped where it was not built."""
    if request.param == "compiled" and kernel.compiled is None:
        pytest.skip("the compiled kernel was not built here")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "numpy":
            patch.setattr(kernel, "compiled", None)
        yield request.param
