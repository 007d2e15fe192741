"""A library that standout does not need: without it its tests are left out, but not where `make interop` put it."""

import importlib
import os
import warnings

import pytest


def other_library(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what other libraries say to each other when they are imported
        if os.environ.get("STANDOUT_INTEROP") == "required":
            return importlib.import_module(name)
        return pytest.importorskip(name)
