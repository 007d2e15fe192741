"""Write THIRD_PARTY.md: what standout needs or ships that others made, or that no reader can make out by eye.

    python benchmarks/third_party.py

Run it where the known-good set is installed: licences are what each package's own metadata say. Those that say it in
no SPDX expression stand in `LICENCES`, read from their licence files.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import tomllib
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "THIRD_PARTY.md"
LICENCES = {
    "accelerate": "Apache-2.0", "cloudpickle": "BSD-3-Clause", "contourpy": "BSD-3-Clause", "coverage": "Apache-2.0",
    "cycler": "BSD-3-Clause", "flatbuffers": "Apache-2.0", "fonttools": "MIT", "grimp": "BSD-2-Clause", "h11": "MIT",
    "huggingface-hub": "Apache-2.0", "import-linter": "BSD-2-Clause", "jinja2": "BSD-3-Clause",
    "kiwisolver": "BSD-3-Clause", "locket": "BSD-2-Clause", "markdown-it-py": "MIT",
    "matplotlib": "LicenseRef-matplotlib", "mdurl": "MIT",
    "mpmath": "BSD-3-Clause", "onnxruntime": "MIT", "onnxscript": "MIT", "partd": "BSD-3-Clause", "pathspec": "MPL-2.0",
    "pluggy": "MIT",
    "protobuf": "BSD-3-Clause", "psutil": "BSD-3-Clause", "pyyaml": "MIT", "rich": "MIT", "safetensors": "Apache-2.0",
    "shellingham": "ISC", "sortedcontainers": "Apache-2.0", "sympy": "BSD-3-Clause", "tokenizers": "Apache-2.0",
    "tornado": "Apache-2.0", "tqdm": "MPL-2.0 AND MIT", "transformers": "Apache-2.0", "tzdata": "Apache-2.0",
    "zict": "BSD-3-Clause",
}  # fmt: skip
MADE = {
    "docs/images/lifelong_generated.png": "benchmarks/lifelong_generated.py, of runs on generated pictures",
    "docs/images/quickstart.png": "standout quickstart, on scenes that it generated",
    "docs/results": "standout train; curves of the run beside it",
    "tests/metrics": "benchmarks/freeze_reference_measures.py, from seeded numbers",
    "tests/samples": "standout.weights.write_model, from seeded numbers",
    "tests/train/samples": "standout train, on generated discs",
    "src/standout/models": "standout train and standout export",
}
"""Where shipped files came from, by the start of their path."""
BINARY = re.compile(r"\.(bin|gif|jpe?g|npy|npz|onnx|png|safetensors|tiff?|webp|woff2?)$")


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned() -> dict[str, str]:
    """Return the version of each package of the known-good set."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def needed_by() -> dict[str, str]:
    """Return which part of standout names each package that it names itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    parts = {"build": project["build-system"]["requires"], "core": project["project"]["dependencies"]}
    parts |= project["project"]["optional-dependencies"]
    found: dict[str, list[str]] = {}
    for part, requirements in parts.items():
        for one in requirements:
            name = re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0]
            found.setdefault(normal(name), []).append(part)
    return {name: ", ".join(those) for name, those in found.items()}


def files_of(lock: str) -> dict[str, int]:
    """Return how many files of each package the lock has a sha256 of."""
    found = {}
    for entry in re.split(r"\n(?=[a-z0-9])", lock):
        name = re.match(r"([A-Za-z0-9._-]+)==", entry)
        if name is not None:
            found[normal(name[1])] = entry.count("--hash=sha256:")
    return found


def shipped() -> list[Path]:
    """Return the binary files that the repository holds."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in tracked.splitlines() if BINARY.search(name)]


def page() -> str:
    """Return the page."""
    parts, hashes = needed_by(), files_of((ROOT / "locked.txt").read_text())
    lines = [
        "# Third parties",
        "",
        "`python benchmarks/third_party.py` writes this page; standout itself is MIT. Licences are SPDX expressions.",
        "",
        "## Packages",
        "",
        "None is copied into standout. The versions are the known-good set; `locked.txt` has the sha256 of each of",
        "their files, how many says the last column. torch's builds differ by index and are pinned only.",
        "",
        "| name | version | licence | named by | files |",
        "| --- | --- | --- | --- | ---: |",
    ]
    for name, version in sorted(pinned().items(), key=lambda pair: normal(pair[0])):
        licence = LICENCES.get(normal(name)) or metadata(name).get("License-Expression")
        if licence is None:
            raise SystemExit(f"{name} states no licence expression: read its licence and add it to LICENCES")
        part, files = parts.get(normal(name), "others"), hashes.get(normal(name), 0)
        lines.append(f"| {name} | {version} | {licence} | {part} | {files or 'pinned only'} |")
    lines += [
        "",
        "## Weights, pictures and other files that cannot be read by eye",
        "",
        "All were made by standout, from its own generated data or from figures; none is a third party's.",
        "",
        "| file | made by | licence | sha256 |",
        "| --- | --- | --- | --- |",
    ]
    for path in shipped():
        name = path.relative_to(ROOT).as_posix()
        made = next((MADE[start] for start in sorted(MADE, key=len, reverse=True) if name.startswith(start)), None)
        if made is None:
            raise SystemExit(f"{name}: say in MADE where it came from")
        lines.append(f"| {name} | {made} | MIT | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
