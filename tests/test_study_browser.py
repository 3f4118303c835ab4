"""The study in a real browser: two raters at once, one by keyboard, one by mouse without script."""

from __future__ import annotations

import csv
import random
import re
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import pytest
from bench_fixture import call
from browser import chromium
from chromium import needs_chromium
from study_fixture import METHODS, make_runs, make_study, rows

pytestmark = needs_chromium

READY = "!!document.querySelector('form')?.dataset.ready"
PICTURES = 2
JUDGED = 2 * PICTURES * len(METHODS)
TOTAL = JUDGED + PICTURES
LAYOUT = """(() => {
  const box = (e) => e.getBoundingClientRect();
  const pictures = [...document.querySelectorAll(".judged img, .candidates img")].map(box);
  const buttons = [...document.querySelectorAll("button")].map(box);
  return {
    overflow: document.documentElement.scrollWidth - innerWidth,
    sizes: [...new Set(pictures.map((b) => `${b.width.toFixed(1)}x${b.height.toFixed(1)}`))],
    ratios: pictures.map((b) => b.width / b.height),
    least: Math.min(...buttons.flatMap((b) => [b.width, b.height])),
    lowest: Math.max(...buttons.map((b) => b.bottom + scrollY)),
    unlabelled: [...document.images].filter((i) => !i.alt).length,
    loaded: [...document.images].every((i) => i.complete && i.naturalWidth),
    ground: getComputedStyle(document.body).backgroundColor,
  };
})()"""


@contextmanager
def served(folder):
    """Serve with the command line; yields the raters' links."""
    command = [sys.executable, "-m", "pcdms_bench", "study", "serve", str(folder), "--raters", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield [re.search(r"http://\S+", process.stdout.readline())[0] for _ in range(2)]
        finally:
            process.terminate()
            process.stdout.read()
    assert process.returncode == 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("browser")
    return make_study(make_runs(place), place / "study", "--pictures", PICTURES)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


def at(number):
    """A condition: question `number` (from 1) is on the screen, or the end."""
    title = f"Question {number} of {TOTAL}" if number <= TOTAL else "Picture study"
    return f"document.title === '{title}' && document.readyState === 'complete'"


def check_layout(tab, ground):
    """The page fits a phone and a desk, in both colour schemes."""
    for width, height in ((400, 860), (1400, 900)):
        for dark in (False, True):
            tab.show(width, height, dark)
            found = tab.value(LAYOUT)
            assert found["overflow"] <= 0
            assert found["loaded"]
            assert found["unlabelled"] == 0
            assert len(found["sizes"]) == 1
            assert found["ratios"] == pytest.approx([0.5] * len(found["ratios"]), abs=0.01)
            assert found["least"] >= 44
            assert found["lowest"] <= height * (1.4 if width == 400 else 1)
            ground.setdefault(dark, set()).add(found["ground"])


class Rater:
    """A tab in which somebody answers at random, by keyboard or with the mouse alone."""

    def __init__(self, browser, link, by_keyboard):
        self.browser, self.link, self.by_keyboard = browser, link, by_keyboard
        self.draw = random.Random(link[-1])
        self.given: dict[str, str] = {}
        self.open()

    def open(self):
        """Follow the link in a new tab; the mouse's tab runs no script."""
        self.tab = self.browser.tab()
        self.tab.scripts(allowed=self.by_keyboard)
        self.tab.show(1400)
        self.tab.open(self.link)
        assert f"You will see {TOTAL} questions" in self.tab.text()
        self.tab.click("a.go")

    def wait(self, number):
        self.tab.wait(at(number) + (f" && {READY}" if self.by_keyboard and number <= TOTAL else ""))

    def answer(self, number):
        """Answer question `number`, which must be on the screen."""
        self.wait(number)
        question = self.tab.value("document.querySelector('[name=question]').value")
        answers = self.tab.value(
            "[...document.querySelectorAll('[name=answer]')].map((b) => b.value)"
        )
        place = self.draw.randrange(len(answers))
        self.given[question] = answers[place]
        if not self.by_keyboard:
            self.tab.click(f"button[value='{answers[place]}']")
        elif number % 2:
            self.tab.press(str(place + 1))
        else:
            for _ in range(place + 1):
                self.tab.press("ArrowRight")
            self.tab.press("Enter")


def counted(folder, given):
    """{(measure, method): answers that count} of {question: answer}, from the plain definitions."""
    counts = Counter()
    for question, answer in given:
        query = "SELECT part, method, truth FROM questions WHERE id = ?"
        part, method, truth = rows(folder, query, question)[0]
        if part == "choose":
            maker = rows(folder, "SELECT method FROM pictures WHERE id = ?", answer)[0][0]
            counts["Jab", maker] += 1
        elif truth != answer:
            counts["R2G" if truth == "real" else "G2R", method] += 1
    return counts


def test_two_raters_do_the_study_at_once_and_the_table_counts_what_they_did(folder, browser):
    ground: dict[bool, set[str]] = {}
    with served(folder) as (first, second):
        raters = [Rater(browser, first, by_keyboard=True), Rater(browser, second, False)]
        for number in range(1, TOTAL + 1):
            if number in (1, JUDGED + 1):
                raters[0].wait(number)
                check_layout(raters[0].tab, ground)
                raters[0].tab.show(1400)
            if number == 4:  # another tab goes on where the closed one was
                raters[1].wait(number)
                raters[1].open()
            for rater in raters:
                rater.answer(number)
        for rater in raters:
            rater.wait(TOTAL + 1)
            assert f"All {TOTAL} answers are stored" in rater.tab.text()
        result = call("study", "table", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.count(f"{TOTAL} of {TOTAL} answered.") == 2
    given = [pair for rater in raters for pair in rater.given.items()]
    assert len(given) == 2 * TOTAL
    counts = counted(folder, given)
    with (folder / "user_study.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 3 * len(METHODS)
    for row in table:
        assert (row["n_answers"], row["n_raters"]) == (str(2 * PICTURES), "2")
        expected = counts[row["measure"], row["method"]] / (2 * PICTURES)
        assert float(row["value"]) == pytest.approx(expected)
    assert call("study", "table", folder, "--format", "csv").stdout.splitlines()[1:] == [
        ",".join(row.values()) for row in table
    ]
    assert {dark: len(colours) for dark, colours in ground.items()} == {False: 1, True: 1}
    assert ground[False] != ground[True]


def test_a_key_that_is_held_answers_nothing(folder, browser, tmp_path):
    other = make_study(folder.parent / "runs", tmp_path / "study")
    with served(other) as (link, _):
        tab = browser.tab()
        tab.open(f"{link}/question")
        tab.wait(READY)
        for held in ({"autoRepeat": True}, {"modifiers": 2}):
            tab.call("Input.dispatchKeyEvent", type="keyDown", key="1", text="1", **held)
        tab.press("3")  # no such button
        tab.press("2")
        tab.wait(f"document.title.startsWith('Question 2 ') && {READY}")
    answers = [answer for (answer,) in rows(other, "SELECT answer FROM answers")]
    assert answers == ["generated"]
