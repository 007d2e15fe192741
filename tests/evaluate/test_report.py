"""The HTML report: what is in the file, without a browser; the other tests open it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from eval_sets import make_methods, make_pictures, sources, standout_eval, write

from standout.evaluate import Rules, compare, find_significance, merge_shards, report_page, score_shard
from standout.evaluate.comparison_table import figures
from standout.evaluate.shards import Shard
from standout.evaluate.shown_pictures import chosen_pictures

UNWEIGHTED = Rules(weighted=False)
KEYS = ("mae", "f_max", "s")


class Page(HTMLParser):
    """The tags of a page with their attributes, the cells of its first table, and every text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr" and dict(attributes).get("data-method"):
            self.rows.append([])
        if tag in ("td", "th") and self.rows and "data-value" in dict(attributes):
            self.rows[-1].append(dict(attributes)["data-value"])

    def handle_data(self, text):
        self.texts.append(text)

    @property
    def data(self):
        return json.loads(next(text for text in self.texts if text.startswith('{"methods"')))


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return make_methods(tmp_path_factory.mktemp("report"), {"a": 0.1, "b": 0.5, "c": 0.3})


@pytest.fixture(scope="module")
def comparison(studio):
    return compare(*sources(studio), rules=UNWEIGHTED)


def test_the_table_holds_every_figure_with_all_digits(comparison):
    page = Page(report_page(comparison, KEYS))
    expected = [
        [data, method, *(repr(figures(comparison, data, KEYS)[method, key].value) for key in KEYS)]
        for data in comparison.sets
        for method in "abc"
    ]
    assert page.rows == expected


def test_the_page_loads_nothing_and_forbids_it(comparison):
    text = report_page(comparison, KEYS, find_significance(comparison, KEYS, resamples=50))
    page = Page(text)
    for tag, attributes in page.tags:
        address = attributes.get("src") or attributes.get("href") or ""
        assert address.startswith(("data:", "#")) or not address, (tag, address)
        assert not any(name.startswith("on") for name in attributes)
    (policy,) = [a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv")]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text)


def test_names_cannot_become_markup(tmp_path):
    odd = "<b>&\"'x"
    make_methods(tmp_path, {"a": 0.2}, {"S": 2})
    made = compare([(odd, tmp_path / "a" / "S")], [("</script><i>", tmp_path / "masks" / "S")], rules=UNWEIGHTED)
    page = Page(report_page(made, KEYS))
    assert not {"b", "i"} & {tag for tag, _ in page.tags if tag != "i"}
    assert page.rows[0][:2] == ["</script><i>", odd]
    assert page.data["methods"] == [odd]
    assert page.data["curves"][0]["set"] == "</script><i>"


def test_the_curves_are_the_mean_curves(comparison):
    curves = Page(report_page(comparison, KEYS)).data["curves"]
    assert [(curve["set"], curve["method"]) for curve in curves] == [(s.data, s.method) for s in comparison.series]
    for curve, series in zip(curves, comparison.series, strict=True):
        for name, values in series.curves().items():
            assert curve[name] == pytest.approx(values, abs=5e-6)


def test_best_worst_and_disputed_pictures_are_those(tmp_path):
    random = np.random.default_rng(0)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 8:20] = 255
    good, bad = mask // 2 + random.integers(0, 9, mask.shape).astype(np.uint8), 255 - mask
    for at in range(8):
        name = f"p{at}.png"
        write(tmp_path / "masks" / name, mask)
        middling = mask // 3 + random.integers(0, 120, mask.shape).astype(np.uint8)
        write(tmp_path / "a" / name, mask if at == 1 else bad if at == 2 else good if at == 3 else middling)
        write(tmp_path / "b" / name, mask if at == 1 else bad if at in (2, 3) else middling)
    made = compare([("a", tmp_path / "a"), ("b", tmp_path / "b")], [("S", tmp_path / "masks")], rules=UNWEIGHTED)
    for key in ("s", "mae"):
        chosen = chosen_pictures(made, key, each=1)
        assert {group: one.name for one in chosen for group in one.groups} == {
            "best": "p1", "worst": "p2", "disputed": "p3",
        }  # fmt: skip
    (alone,) = {one.groups for one in chosen_pictures(compare([("a", tmp_path / "a")], [("S", tmp_path / "masks")],
                                                              rules=UNWEIGHTED), "s", each=8)}  # fmt: skip
    assert alone == ("best", "worst")


def test_pictures_have_their_image_mask_and_maps_at_one_size(tmp_path):
    data = make_pictures(tmp_path / "set", 3, size=(90, 700))
    make_methods(tmp_path, {"a": 0.2}, {"masks": 3}, size=(45, 350))
    made = compare([("a", tmp_path / "a" / "masks")], [("S", data)], rules=UNWEIGHTED, part="train")
    for picture in Page(report_page(made, KEYS)).data["pictures"]:
        assert picture["size"] == [320, 41]
        assert picture["image"].startswith("data:image/webp;base64,")
        assert picture["mask"].startswith("data:image/png;base64,")
        assert set(picture["maps"]) == {"a"}
        assert picture["values"].keys() == {"a"}


def merged_page(folder, shards):
    for number in range(1, shards + 1):
        text = score_shard(*sources(folder, "ab"), Shard(number, shards), rules=UNWEIGHTED)
        (folder / f"{number}.jsonl").write_text(text)
    return lambda: report_page(merge_shards(sorted(folder.glob("*.jsonl"), reverse=True)), KEYS)


def test_parts_put_together_make_the_page_of_the_whole(tmp_path, monkeypatch):
    make_methods(tmp_path, {"a": 0.1, "b": 0.5})
    monkeypatch.chdir(tmp_path)  # shards that were scored by relative paths are put together elsewhere too
    page = merged_page(Path(), 3)
    text = page()
    assert text == report_page(compare(*sources(tmp_path, "ab"), rules=UNWEIGHTED), KEYS)
    assert len(Page(text).data["pictures"]) == 10
    shards = [path.absolute() for path in Path().glob("*.jsonl")]
    monkeypatch.chdir("/")
    assert report_page(merge_shards(shards), KEYS) == text


def test_parts_whose_files_lie_elsewhere_say_so_and_show_no_pictures(tmp_path):
    page = merged_page(make_methods(tmp_path, {"a": 0.1, "b": 0.5}), 2)
    rows = Page(page()).rows
    (tmp_path / "a").rename(tmp_path / "moved")
    away = Page(page())
    assert any(text.startswith("None of the 10 chosen pictures is shown: their masks or maps") for text in away.texts)
    assert (away.rows, away.data["pictures"]) == (rows, [])


def test_a_picture_that_is_no_longer_what_was_scored_is_named_and_not_shown(tmp_path):
    page = merged_page(make_methods(tmp_path, {"a": 0.1, "b": 0.5}), 2)
    write(tmp_path / "a" / "ECSSD" / "p0002.png", np.zeros((24, 32), np.uint8))
    (tmp_path / "masks" / "PASCAL-S" / "p0003.png").unlink()
    told = Page(page())
    assert any(text.startswith("2 of 10 are not shown (ECSSD/p0002, PASCAL-S/p0003): ") for text in told.texts)
    names = {(picture["set"], picture["name"]) for picture in told.data["pictures"]}
    assert len(names) == 8
    assert not names & {("ECSSD", "p0002"), ("PASCAL-S", "p0003")}


def test_e02_a_partial_report_says_so_first_and_names_all(tmp_path):
    make_methods(tmp_path, {"a": 0.2})
    (tmp_path / "a" / "ECSSD" / "p0002.png").unlink()
    made = compare(*sources(tmp_path, "a"), rules=UNWEIGHTED, allow_missing=True)
    page = Page(report_page(made, KEYS))
    words = [text.strip() for text in page.texts if text.strip()]
    title = words.index("1 method on ECSSD, PASCAL-S", words.index("Skip to the scores"))
    assert words[title + 1] == "PARTIAL 5 of 6"
    assert "a on ECSSD: p0002 missing" in words


def test_the_command_writes_the_report_and_writes_over_nothing(studio, tmp_path):
    given = ["--maps", f"a={studio / 'a'}", "--masks", f"ECSSD={studio / 'masks' / 'ECSSD'}", "--no-weighted"]
    done = standout_eval(*given, "--report", tmp_path / "r.html")
    assert done.returncode == 0, done.stderr
    assert "1 method on ECSSD" in (tmp_path / "r.html").read_text()
    again = standout_eval(*given, "--report", tmp_path / "r.html")
    assert (again.returncode, again.stdout) == (2, "")
