"""The pages are true: their programs run, their links lead somewhere, and nothing public is left out."""

import doctest
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from standout.cli import VERBS
from standout.cli.lifelong import LIFELONG
from standout.data.findings import NOTES
from standout.data.layouts import LAYOUTS
from standout.distill import STRATEGIES
from standout.images import write_image
from standout.lifelong import KINDS, METHODS
from standout.losses import TASKS
from standout.metrics import MEASURES, PROTOCOLS
from standout.networks import NETWORKS, build_network
from standout.train.recipe import shipped_recipes
from standout.weights import write_model

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
CONVENTION_WORDS = ("OpenLORIS", "GEM", "forgetting", "over-all")
LINK = re.compile(r"\]\(([^)#\s]+)\)")


def name_of(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def sample_folder(tmp_path, monkeypatch):
    """A folder with a photo and a run, as the pages' programs find it."""
    write_image(tmp_path / "photo.jpg", np.full((40, 60, 3), 90, np.uint8))
    write_model(tmp_path / "runs" / "mine" / "model.safetensors", build_network("tiny"), size=32)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("sample_folder")
@pytest.mark.parametrize("page", [page for page in PAGES if BLOCK.search(page.read_text())], ids=name_of)
def test_the_programs_of_a_page_run(page):
    names = {}
    ran = 0
    for block in BLOCK.findall(page.read_text()):
        if block.startswith(">>>"):
            example = doctest.DocTestParser().get_doctest(block, names, page.name, str(page), 0)
            runner = doctest.DocTestRunner()
            runner.run(example, clear_globs=False)
            assert runner.summarize(verbose=False).failed == 0
        else:
            exec(compile(block, str(page), "exec"), names)
        ran += 1

    assert ran > 0


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_somewhere(page):
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("README.md", VERBS),
        ("docs/networks.md", NETWORKS),
        ("docs/measures.md", [*MEASURES, *PROTOCOLS]),
        ("docs/losses.md", TASKS),
        ("docs/training.md", [*STRATEGIES, *(path.stem for path in shipped_recipes())]),
        ("docs/use.md", ["predict", "cut", "export"]),
        ("docs/lifelong.md", [*METHODS, *KINDS, *LIFELONG, *CONVENTION_WORDS]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_page_names_everything_of_its_kind(page, names):
    text = (ROOT / page).read_text()

    assert [name for name in names if f"{name}" not in text] == []


def test_every_layout_is_documented():
    text = (ROOT / "docs/data.md").read_text().replace("`", "")

    assert [layout for layout in LAYOUTS if str(getattr(layout, "name", layout)) not in text] == []


def test_every_note_of_a_check_is_documented():
    text = (ROOT / "docs/data.md").read_text()

    assert [code for code in NOTES if f"`{code}`" not in text] == []


def test_every_strategy_has_a_page_that_says_what_is_reconstructed():
    for name in STRATEGIES:
        page = ROOT / "docs" / "strategies" / f"{name}.md"
        assert page.exists(), name
        if name in ("non_negative_feedback", "dynamic_dropout", "pyramid"):
            assert "the published equation was not available to us" in " ".join(page.read_text().split())


@pytest.mark.parametrize("script", ["results_page.py", "lifelong_page.py"])
def test_a_results_page_says_what_the_result_files_say(script):
    command = [sys.executable, ROOT / "benchmarks" / script, "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_scorecard_says_what_the_tests_names_say():
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "scorecard.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
