"""The measures' C kernel; all else stands in pyproject.toml.

The kernel is optional: where no compiler is, the build says so and the measures run in NumPy, to the same bits.
"""

import os
from pathlib import Path

from setuptools import Extension, setup

# Every float step must round as NumPy's: no contraction into fused steps, no reassociation.
# Without -g0 the interpreter's own flags may add symbols for debugging, three times the size of the code.
FLAGS = [] if os.name == "nt" else ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]

setup(
    ext_modules=[
        Extension(
            "standout.metrics._kernel",
            sorted(path.as_posix() for path in Path("src/kernel").glob("*.c")),
            depends=["src/kernel/kernel.h"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            extra_compile_args=FLAGS,
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
