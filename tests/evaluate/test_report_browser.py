"""The HTML report in a real browser: it sorts, filters, draws, shows errors, by mouse and by keyboard, offline."""

import numpy as np
import pytest
from eval_sets import make_pictures, shapes, write

from standout.evaluate import Rules, compare, find_significance, report_page

expect = pytest.importorskip("playwright.sync_api").expect
pytestmark = pytest.mark.browser
KEYS = ("mae", "f_max", "s")
METHODS = {"near": 0.1, "far": 0.6, "between": 0.35}


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    masks = []
    for number, (data, count) in enumerate({"ECSSD": 9, "PASCAL-S": 4}.items()):
        make_pictures(folder / data, count, seed=number, size=(60, 80))
        random = np.random.default_rng(number)
        for at in range(count):
            found, mask = shapes(random, 60, 80)
            random.integers(0, 256, (60, 80))  # the picture's noise, so that masks are those of the set
            for method, noise in METHODS.items():
                own = np.random.default_rng([at, *method.encode()]).integers(0, 256, mask.shape)
                levels = (1 - noise) * (0.5 * mask + 0.5 * found) + noise * own
                write(folder / method / data / f"p{at:04}.png", levels.astype(np.uint8))
        masks.append((data, folder / data))
    maps = [(method, folder / method) for method in METHODS]
    return compare(maps, masks, rules=Rules(weighted=False), part="train", attributes=True)


@pytest.fixture(scope="module")
def report(comparison, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_page(comparison, KEYS, find_significance(comparison, KEYS, resamples=100)))
    return path


@pytest.fixture
def page(browser, report):
    """The opened report; at the end no error was told and nothing was fetched."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    told, fetched = [], []
    opened.on("console", lambda message: told.append(message.text))
    opened.on("pageerror", lambda error: told.append(str(error)))
    opened.on("request", lambda request: fetched.append(request.url))
    opened.goto(report.as_uri())
    opened.wait_for_selector("canvas[data-painted]")
    yield opened
    assert told == []
    assert [url for url in fetched if not url.startswith("data:")] == [report.as_uri()]
    context.close()


def column(page, number):
    return page.locator(f"#scores-table tbody tr:not([hidden]) > :nth-child({number})").evaluate_all(
        "cells => cells.map(cell => cell.dataset.value)"
    )


def test_the_table_sorts_both_ways_best_first(page, comparison):
    mae = page.locator("#scores-table thead th:nth-child(3)")
    expected = sorted(run.scored.measures["mae"] for run in comparison.series)
    mae.locator("button").click()
    assert mae.get_attribute("aria-sort") == "ascending"
    assert list(map(float, column(page, 3))) == expected
    mae.locator("button").click()
    assert mae.get_attribute("aria-sort") == "descending"
    assert list(map(float, column(page, 3))) == expected[::-1]
    page.locator("#scores-table thead th:nth-child(5) button").click()
    assert mae.get_attribute("aria-sort") == "none"
    assert list(map(float, column(page, 5))) == sorted(
        (r.scored.measures["s"] for r in comparison.series), reverse=True
    )
    page.locator("#scores-table thead th:nth-child(2) button").click()
    assert column(page, 2) == sorted(["near", "far", "between"] * 2)


def test_the_table_filters_by_words_set_and_method(page):
    assert page.locator("#shown").inner_text() == "6 rows"
    page.locator("#filter").fill("nea")
    assert column(page, 2) == ["near", "near"]
    assert page.locator("#shown").inner_text() == "2 of 6 rows"
    page.locator("#of-set").select_option("PASCAL-S")
    assert (column(page, 1), column(page, 2)) == (["PASCAL-S"], ["near"])
    page.locator("#filter").fill("")
    page.get_by_role("checkbox", name="near").uncheck()
    assert column(page, 2) == ["far", "between"]
    page.locator("#filter").fill("no such")
    assert page.locator("#shown").inner_text() == "0 of 6 rows"


def test_curves_follow_set_method_and_threshold(page, comparison):
    assert page.locator("#chart-pr polyline").count() == 3
    page.get_by_role("checkbox", name="far").uncheck()
    for chart in ("pr", "f", "e"):
        assert page.locator(f"#chart-{chart} polyline").count() == 2
    page.locator("#curve-set").select_option("PASCAL-S")
    page.locator("#threshold").fill("77")
    expect(page.locator("#at-threshold caption")).to_contain_text("threshold 77")
    rows = page.locator("#at-threshold tbody tr").all_inner_texts()
    assert [row.split("\t")[0] for row in rows] == ["near", "between"]
    for row in rows:
        method, *values = row.split("\t")
        curves = comparison.of(method, "PASCAL-S")[0].curves()
        expected = [curves[name][255 - 77] for name in ("precision", "recall", "f", "e")]
        assert list(map(float, values)) == pytest.approx(expected, abs=6e-5)


def test_pictures_of_a_group_are_shown_in_their_order(page, comparison):
    def names():
        return page.locator("#picture-grid .picture-name").all_inner_texts()

    of_set = [{p.name: p.score.s for p in run.pictures} for run in comparison.series if run.data == "ECSSD"]
    mean = {name: np.mean([run[name] for run in of_set]) for name in of_set[0]}
    apart = {name: np.ptp([run[name] for run in of_set]) for name in of_set[0]}
    assert names() == sorted(mean, key=mean.get)[:6]
    page.locator("input[value=best]").check()
    assert names() == sorted(mean, key=mean.get, reverse=True)[:6]
    page.locator("input[value=disputed]").check()
    assert names() == sorted(apart, key=apart.get, reverse=True)[:6]
    page.locator("#picture-set").select_option("PASCAL-S")
    assert len(names()) == 4


def colours(page):
    """Return how many pixels of the first map's errors are found, found wrongly, missed; by their colours."""
    # Not wait_for_function, whose program the page's policy forbids.
    painted = f"errors {page.locator('#threshold').input_value()}"
    expect(page.locator("#picture-grid canvas").first).to_have_attribute("data-painted", painted)
    return page.locator("#picture-grid canvas").first.evaluate(
        """canvas => {
            const copy = document.createElement("canvas");
            [copy.width, copy.height] = [canvas.width, canvas.height];
            copy.getContext("2d").drawImage(canvas, 0, 0);
            const data = copy.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            const found = { right: 0, wrong: 0, missed: 0 };
            for (let at = 0; at < data.length; at += 4) {
                const [r, g, b] = data.slice(at, at + 3);
                if (g - r > 40 && g > b) found.right++;
                else if (r - b > 80) found.wrong++;
                else if (b - r > 80) found.missed++;
            }
            return found;
        }"""
    )


def test_errors_follow_the_threshold(page, comparison):
    name = page.locator("#picture-grid .picture-name").first.inner_text()
    score = next(p.score for p in comparison.of("near", "ECSSD")[0].pictures if p.name == name)
    page.locator("#picture-threshold").fill("0")
    everything = colours(page)
    assert everything["missed"] == 0
    assert everything["right"] == pytest.approx(score.foreground, abs=0.02 * score.pixels)
    assert everything["wrong"] == pytest.approx(score.pixels - score.foreground, abs=0.02 * score.pixels)
    page.locator("#picture-threshold").fill("128")
    found = colours(page)
    # The shown map is packed with loss, so a few pixels at the threshold may differ.
    assert found["right"] == pytest.approx(score.right[255 - 128], abs=0.05 * score.pixels)
    assert found["wrong"] == pytest.approx(score.wrong[255 - 128], abs=0.05 * score.pixels)
    assert page.locator("#threshold-value").inner_text() == "128"
    page.locator("input[value=map]").check()
    page.wait_for_selector("canvas[data-painted='map 128']")
    assert not page.locator("#error-key").is_visible()


def test_everything_works_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = {}
    for _ in range(120):
        page.keyboard.press("Tab")
        element = page.evaluate(
            "(() => { const e = document.activeElement; return e.id || e.name || e.closest('th')?.textContent"
            " || e.getAttribute('aria-label') || e.textContent; })()"
        )
        reached.setdefault(element, len(reached))
    wanted = ["filter", "of-set", "method-0", "MAE", "S", "curve-set", "threshold", "picture-set", "group", "view"]
    assert [name for name in wanted if name not in reached] == []
    assert [reached[name] for name in wanted] == sorted(reached[name] for name in wanted)

    page.locator("#scores-table thead th:nth-child(3) button").focus()
    page.keyboard.press("Enter")
    assert page.locator("#scores-table thead th:nth-child(3)").get_attribute("aria-sort") == "ascending"
    page.locator("#method-1").focus()
    page.keyboard.press("Space")
    assert "far" not in column(page, 2)
    page.locator("#threshold").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#threshold-value").inner_text() == "129"

    page.locator("#picture-grid button").first.focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    first = page.locator("#viewer-name").inner_text()
    assert viewer.is_visible()
    assert "1 of 6" in first
    page.keyboard.press("ArrowRight")
    assert "2 of 6" in page.locator("#viewer-name").inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert "6 of 6" in page.locator("#viewer-name").inner_text()
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("Open ")


def test_every_control_and_picture_has_a_name(page):
    page.locator("#picture-grid button").first.click()
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas, img, dialog, svg[role], section")]
            .filter((e) => !(e.labels?.length || e.getAttribute("aria-label") || e.getAttribute("aria-labelledby")
                || e.getAttribute("alt") || e.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert nameless == []


def test_narrow_screens_need_no_sideways_scrolling(page):
    page.set_viewport_size({"width": 380, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 380
