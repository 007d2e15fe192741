"""The measures' C kernel, and a wheel whose bytes follow from its sources; all else stands in pyproject.toml.

The kernel is optional: where no compiler is, the build says so and the measures run in NumPy, to the same bits.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent
# Every float step must round as NumPy's: no contraction into fused steps, no reassociation.
# Without -g0 the interpreter's own flags may add symbols for debugging, three times the size of the code.
FLAGS = [] if os.name == "nt" else ["-O3", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden"]
# Two builds of the same sources are the same bytes; by default files in a wheel carry the hour of the build.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1767225600")
ROW = re.compile(r"\| ([\w.-]+) \| ([\w.+-]+) \| ([\w. +()-]+) \| ([a-z, ]+) \| [\w ]+ \|")


def bill_of_materials(name: str, version: str) -> bytes:
    """Return a CycloneDX list of what the wheel holds of others' work, and of what it needs to run."""
    components = []
    for package, known_good, licence, parts in ROW.findall((ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")):
        if "core" in parts.split(", "):
            components.append(
                {
                    "type": "library", "name": package, "version": known_good, "scope": "required",
                    "bom-ref": f"pkg:pypi/{package.lower()}", "licenses": [{"expression": licence}],
                }
            )  # fmt: skip
    for path in sorted((ROOT / "src" / "standout" / "models").glob("*.onnx")):
        digest = {"alg": "SHA-256", "content": hashlib.sha256(path.read_bytes()).hexdigest()}
        components.append(
            {
                "type": "machine-learning-model", "name": path.stem, "version": version, "hashes": [digest],
                "bom-ref": f"model:{path.stem}", "licenses": [{"expression": "MIT"}],
            }
        )  # fmt: skip
    own = f"pkg:pypi/{name}@{version}"
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library", "name": name, "version": version, "bom-ref": own, "purl": own,
                "licenses": [{"expression": "MIT"}],
            }
        },
        "components": components,
        "dependencies": [{"ref": own, "dependsOn": [one["bom-ref"] for one in components]}],
    }  # fmt: skip
    return json.dumps(document, indent=1).encode() + b"\n"


class Wheel(bdist_wheel):
    """A wheel with a bill of materials (PEP 770) and with one mode for all files, whatever the umask was."""

    def write_wheelfile(self, wheelfile_base, *arguments, **options):
        """Add the bill of materials; this is called when all other files are in place."""
        super().write_wheelfile(wheelfile_base, *arguments, **options)
        place = Path(wheelfile_base) / "sboms"
        place.mkdir(exist_ok=True)
        distribution = self.distribution
        (place / "standout.cdx.json").write_bytes(
            bill_of_materials(distribution.get_name(), distribution.get_version())
        )
        for path in Path(self.bdist_dir).rglob("*"):
            path.chmod(0o755 if path.is_dir() or path.suffix in (".so", ".pyd") else 0o644)


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
    cmdclass={"bdist_wheel": Wheel},
)
