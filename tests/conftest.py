"""What every test shares: one thread, no network, and hypothesis profiles that do not time single examples."""

import os
import socket

# Before torch is imported by any test: two test processes of two spinning threads each take many times longer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "standout",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("standout")


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Promise K10: nothing in the package may reach the network."""
    connect = socket.socket.connect

    def refuse(self, address):
        if self.family == socket.AF_UNIX:
            return connect(self, address)
        raise AssertionError(f"a test tried to reach the network at {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
