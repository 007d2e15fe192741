"""What every test shares: one thread, no network, and hypothesis profiles that do not time single examples."""

import atexit
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

# Before torch is imported by any test: two test processes of two spinning threads each take many times longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

TRAP = Path(__file__).parent / "trap"
NETWORK_LOG = Path(tempfile.mkstemp(prefix="standout-tests-network-")[1])
atexit.register(NETWORK_LOG.unlink, missing_ok=True)
os.environ["STANDOUT_TESTS_NETWORK_LOG"] = str(NETWORK_LOG)
if str(TRAP) not in os.environ.get("PYTHONPATH", "").split(os.pathsep):
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TRAP), os.environ.get("PYTHONPATH")]))
if "sitecustomize" not in sys.modules or Path(sys.modules["sitecustomize"].__file__).parent != TRAP:
    trap = importlib.util.spec_from_file_location("network_trap", TRAP / "sitecustomize.py")
    trap.loader.exec_module(importlib.util.module_from_spec(trap))

# Started by `nohup` or in the background, tests are born deaf to these, and so is every run that they start.
for name, heard in (("SIGINT", signal.default_int_handler), ("SIGHUP", signal.SIG_DFL)):
    if (number := getattr(signal, name, None)) and signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, heard)

settings.register_profile(
    "standout",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("deep", settings.get_profile("standout"), max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "standout"))


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSERLESS = (
    "playwright is not installed" if importlib.util.find_spec("playwright") is None
    else "no chromium on the path" if BROWSER is None
    else None
)  # fmt: skip


def pytest_collection_modifyitems(config, items):
    if BROWSERLESS is None:
        return
    left_out = [item for item in items if item.get_closest_marker("browser")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter):
    if BROWSERLESS is not None:
        terminalreporter.write_line(f"tests marked browser were left out: {BROWSERLESS}")


@pytest.fixture(scope="session")
def browser():
    """A headless browser for the tests that are marked so."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=BROWSER)
        yield started
        started.close()


@pytest.fixture(autouse=True)
def no_network():
    """Promise K10: nothing reaches for the network, neither in this process nor in one that a test starts."""
    before = NETWORK_LOG.stat().st_size
    yield
    assert NETWORK_LOG.stat().st_size == before, NETWORK_LOG.read_text()
