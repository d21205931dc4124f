"""The report in a browser, at desktop and at phone width: a real search's, a hostile one, one of 10,000 trials."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reading import fill
from msearch_core.report.writing import write_report
from msearch_core.trial_log import TrialLog
from tests.browsing import chromium, find_browser
from tests.searching import check_budget, workplace
from tests.test_report import hostile_log

pytestmark = pytest.mark.slow

CHARTS = ["progress", "pareto", "lineage", "curves", "effects", "hyperparameters", "timeline"]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search of 60 trials by two trainers."""
    folder = tmp_path_factory.mktemp("real")
    with workplace(folder, tmp_path_factory) as place:
        place.run("search", "breast_cancer", "--trainers", "2", "--trials", "60", "--steps", "20", "--log", "log")
    check_budget(folder / "log", 60)
    write_report(TrialLog(str(folder / "log")), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a small search whose rows try to break it."""
    folder = tmp_path_factory.mktemp("hostile")
    write_report(hostile_log(folder / "log"), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a search of 10,000 trials."""
    folder = tmp_path_factory.mktemp("large")
    write_report(fill(str(folder / "log"), 10_000), folder / "report.html")
    return folder / "report.html"


OVERLAPS = """
const hit = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
const found = [];
for (const chart of document.querySelectorAll("[data-chart]")) {
  const kinds = ".xtick text, .ytick text, .legendtext, .xtitle, .ytitle, .annotation-text";
  const texts = [...chart.querySelectorAll(kinds)];
  const boxes = texts.map((each) => [each.textContent, each.getBoundingClientRect()]).filter(([, box]) => box.width);
  const room = chart.getBoundingClientRect();
  boxes.forEach(([text, box], place) => {
    if (box.right > room.right + 2 || box.left < room.left - 2) found.push([chart.dataset.chart, text, "cut off"]);
    for (const [other, second] of boxes.slice(place + 1))
      if (hit(box, second)) found.push([chart.dataset.chart, text, other]);
  });
}
return found;
"""


def opened(browser: Any, page: Path) -> None:
    """Open a page and wait until its last chart is drawn."""
    browser.get(page.as_uri())
    for _ in range(600):
        if browser.execute_script("return document.documentElement.dataset.ready"):
            return
        time.sleep(0.05)
    raise AssertionError(f"the charts were not drawn: {browser.get_log('browser')}")


@pytest.fixture(scope="module", params=[(1280, False), (390, True)], ids=["desktop", "phone, dark"])
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    width, dark = request.param
    with chromium(width, 900, dark=dark) as started:
        yield started


def test_ten_thousand_trials_stay_below_five_megabytes(large: Path) -> None:
    assert large.stat().st_size < 5e6


@pytest.mark.skipif(find_browser() is None, reason="no chromium with chromedriver on this machine")
class TestInABrowser:
    @pytest.mark.parametrize("search", ["real", "hostile", "large"])
    def test_it_is_whole(self, browser: Any, search: str, request: pytest.FixtureRequest) -> None:
        opened(browser, request.getfixturevalue(search))
        script = browser.execute_script
        charts = script("return [...document.querySelectorAll('[data-chart]')].map((each) => each.dataset.chart)")
        answers = ["predictions"] if search == "real" else []
        assert sorted(charts) == sorted([*CHARTS, *answers]), "a chart is missing"
        drawn = "return [...document.querySelectorAll('[data-chart]:has(.trace path, .heatmaplayer image)')].length"
        assert script(drawn) == len(charts)
        assert script("return document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
        assert script(OVERLAPS) == []
        self.press_a_node(browser)
        self.change_the_axis(browser)
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
        assert browser.title != "broken"

    def press_a_node(self, browser: Any) -> None:
        from selenium.webdriver import ActionChains

        points = "[data-chart=lineage] .scatterlayer .trace:last-of-type .points path"
        node = browser.find_elements("css selector", points)[-1]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        ActionChains(browser).move_to_element(node).pause(0.2).click().perform()
        panel = browser.find_element("id", "row")
        uid = browser.execute_script(
            "const t = document.querySelector('[data-chart=lineage]').data.at(-1); return t.customdata.at(-1)[0]"
        )
        assert panel.is_displayed()
        assert panel.get_attribute("data-shown") == uid
        assert uid in panel.text
        assert "hyperparameters" in panel.text
        panel.find_element("class name", "close").click()
        assert not panel.is_displayed()

    def change_the_axis(self, browser: Any) -> None:
        button = browser.find_element("css selector", "#progress [data-alternative='2']")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", button)
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        for _ in range(100):
            title = browser.execute_script("return document.querySelector('#progress .xtitle').textContent")
            if title.startswith("seconds"):
                return
            time.sleep(0.05)
        raise AssertionError(f"the axis is still {title}")
