"""The page in a real browser: drawn on with mouse, finger and keys, as a person would."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app import recorded, strokes, tracing
from app.server import Settings
from tests import browser as browsers
from utils import drawings
from utils.datasets import mnist

if not browsers.installed():
    if os.environ.get("CI"):
        raise RuntimeError("CI must test the page: install Chromium, or set NN_COURSE_CHROMIUM.")
    pytest.skip(
        "the page needs a browser: install Chromium, or set NN_COURSE_CHROMIUM to its path",
        allow_module_level=True,
    )

DIGITS, DOODLES = mnist(), drawings.quick_draw()


@pytest.fixture(scope="module")
def browser():
    with browsers.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def address():
    with browsers.served() as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page, ready; a test fails on anything that the browser's console calls an error."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda m: faults.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        opened(page, address)
        yield page
        assert faults == []
        assert [url for url in asked if not url.startswith((address, "blob:"))] == []


def opened(page: Page, address: str) -> None:
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]")


def draw(page: Page, drawing: list[np.ndarray]) -> None:
    """Strokes on the canvas by the mouse; a few points are enough, for the page joins them."""
    box = page.locator("#canvas").bounding_box()
    scale = box["width"] / strokes.WIDTH
    for stroke in drawing:
        places = stroke[:: max(1, len(stroke) // 40)]
        places = np.concatenate([places, stroke[-1:]])[:, :2] * scale + [box["x"], box["y"]]
        page.mouse.move(*places[0])
        page.mouse.down()
        for x, y in places[1:]:
            page.mouse.move(x, y)
        page.mouse.up()


def verdicts(page: Page, panel: str = "digit") -> list[str]:
    return page.locator(f"#{panel}-readers .verdict").all_text_contents()


def row_of(label: int) -> int:
    return int(np.flatnonzero(DIGITS.test.labels == label)[0])


def test_a_digit_drawn_with_the_mouse_is_read_by_all_three(page):
    draw(page, tracing.traced(DIGITS.test.images[row_of(7)]))
    expect(page.locator("#digit-readers .verdict")).to_have_text(["7", "7", "7"], timeout=20_000)
    expect(page.locator("#said")).to_contain_text("7, ")
    expect(page.locator("#help")).to_contain_text("Nothing is wrong")


def test_what_the_network_sees_is_shown(page):
    draw(page, tracing.traced(DIGITS.test.images[row_of(0)]))
    expect(page.locator("#digit-readers .verdict").first).to_have_text("0")
    shown = page.evaluate(
        "[...document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data]"
    )
    seen = np.array(shown).reshape(28, 28, 4)[..., 0] / 255
    assert 0.08 < seen.mean() < 0.3
    page.locator("#detail").check()
    expect(page.locator("#details .maps")).to_have_count(3, timeout=20_000)
    page.get_by_text("Measures of the drawing").click()
    expect(page.locator("#measures")).to_contain_text("MNIST: about 0.13")


def test_fast_strokes_have_no_gaps(page):
    draw(page, [np.array([[60.0, 60.0, 0.0], [420.0, 260.0, 9.0]])])
    page.locator("#save").click()
    (saved,) = json.loads(page.evaluate("localStorage.getItem('nn-course-drawings')")).values()
    points = np.array(saved[0])
    assert np.hypot(*np.diff(points[:, :2], axis=0).T).max() <= 4.3
    assert np.all(np.diff(points[:, 2]) >= 0)


def test_the_keyboard_alone_draws_and_undoes(page):
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement.id") != "canvas":
        page.keyboard.press("Tab")
    keys = [*["ArrowUp"] * 12, "Space", *["ArrowDown"] * 24, "Space"]
    for key in keys:
        page.keyboard.press(key)
    expect(page.locator("#digit-readers .verdict")).to_have_text(["1", "1", "1"], timeout=20_000)
    page.keyboard.press("Backspace")
    expect(page.locator("#help")).to_contain_text("The canvas is empty")
    page.keyboard.press("Space")
    page.keyboard.press("Delete")
    expect(page.locator("#digit-readers .verdict")).to_have_count(0)


def test_a_saved_drawing_is_there_after_a_reload(page, address):
    draw(page, tracing.traced(DIGITS.test.images[row_of(3)]))
    page.locator("#save").click()
    expect(page.locator("#told")).to_contain_text("Saved as")
    opened(page, address)
    expect(page.locator("#digit-readers .verdict")).to_have_count(0)
    page.locator("#load").click()
    expect(page.locator("#digit-readers .verdict").first).to_have_text("3")
    page.locator("#forget").click()
    expect(page.locator("#saved")).to_have_text("none yet")


def test_a_drawing_is_downloaded_and_opened_again(page, tmp_path: Path):
    draw(page, tracing.traced(DIGITS.test.images[row_of(2)]))
    with page.expect_download() as download:
        page.locator("#download").click()
    download.value.save_as(tmp_path / "drawing.json")
    page.locator("#clear").click()
    page.locator("#open").set_input_files(tmp_path / "drawing.json")
    expect(page.locator("#digit-readers .verdict").first).to_have_text("2")
    (tmp_path / "other.json").write_text('{"strokes": [[[1, "x"]]]}')
    page.locator("#open").set_input_files(tmp_path / "other.json")
    expect(page.locator("#told")).to_contain_text("holds no drawing")
    expect(page.locator("#digit-readers .verdict").first).to_have_text("2")


def test_a_drawing_is_exported_as_a_training_sample(page, tmp_path: Path):
    draw(page, tracing.traced(DIGITS.test.images[row_of(5)]))
    page.locator("#label").fill("5")
    with page.expect_download() as download:
        page.get_by_role("button", name="Export as training sample").click()
    assert download.value.suggested_filename == "digit-5.npz"
    download.value.save_as(tmp_path / "sample.npz")
    with np.load(tmp_path / "sample.npz") as sample:
        assert sample["labels"].tolist() == [5]


def test_two_digits_are_cut_and_read(page):
    page.get_by_role("button", name="Two digits").click()
    left, right = recorded.beside(*DIGITS.test.images[[row_of(4), row_of(2)]], 20.0)
    draw(page, left + right)
    expect(page.locator("#pair-readers .verdict")).to_have_text(["42", "42"])


@pytest.mark.skipif(DOODLES.is_stand_in, reason="no real drawings on this machine")
def test_a_round_of_the_game(page):
    page.get_by_role("button", name="Doodle").click()
    page.locator("#threshold").fill("0.3")
    expect(page.locator("#doodle-bars .row")).to_have_count(10)
    page.locator("#next").click()
    expect(page.locator("#target")).to_contain_text("Draw: ")
    word = page.locator("#target").text_content().removeprefix("Draw: ")
    test = DOODLES.test
    for row in np.flatnonzero(test.labels == drawings.CLASSES.index(word))[:6]:
        draw(page, recorded.as_drawn(test.steps[row]))
        page.wait_for_timeout(400)
        if page.locator("#score").text_content() == "1":
            break
        page.locator("#clear").click()
    expect(page.locator("#score")).to_have_text("1")
    expect(page.locator("#target")).to_contain_text(f"Yes, that is a {word}!")
    page.get_by_role("button", name="Next word").click()
    expect(page.locator("#target")).to_contain_text("Draw: ")
    expect(page.locator("#score")).to_have_text("1")


def test_the_generator_follows_class_and_noise(page):
    page.get_by_role("button", name="Generator").click()
    expect(page.locator("#ten canvas")).to_have_count(10)
    expect(page.locator("#generated-caption")).to_have_text("A 7 from noise 0")
    before = picture(page, "generated")
    page.get_by_label("Direction 1").fill("2")
    page.wait_for_function(
        "old => document.getElementById('generated').toDataURL() !== old", arg=before
    )
    page.locator("#classes").get_by_role("button", name="3").click()
    expect(page.locator("#generated-caption")).to_have_text("A 3 from noise 0")
    page.get_by_role("button", name="Another noise").click()
    expect(page.locator("#generated-caption")).to_have_text("A 3 from noise 1")


def picture(page: Page, name: str) -> str:
    return page.evaluate(f"document.getElementById('{name}').toDataURL()")


def test_a_plate_is_distorted_by_sliders_and_read_back(page):
    page.get_by_role("button", name="Plate").click()
    expect(page.locator("#plate-read")).to_have_text("A123BC77 ✓", timeout=30_000)
    before = picture(page, "plate-seen")
    page.get_by_label("Noise").fill("0.5")
    page.wait_for_function(
        "old => document.getElementById('plate-seen').toDataURL() !== old", arg=before
    )
    page.locator("#plate-text").fill("k070xa199")
    expect(page.locator("#plate-read")).to_contain_text("K070XA199", timeout=10_000)


def test_a_wrong_plate_is_one_sentence_on_the_page(browser, address):
    with browser.new_context() as context:
        page = context.new_page()
        opened(page, address)
        page.get_by_role("button", name="Plate").click()
        page.locator("#plate-text").fill("A12")
        expect(page.locator("#said")).to_contain_text("form of a plate", timeout=30_000)


def test_the_sliders_are_the_changes_that_there_are(page):
    from OptimisationNN.plates.augment import CHANGES

    names = page.locator("#changes input").evaluate_all("inputs => inputs.map((i) => i.name)")
    assert sorted(names) == sorted(CHANGES)


def test_the_menu_shows_parameters_and_accuracy(page):
    rows = page.locator("#models tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("Dense network")
    expect(rows.first).to_contain_text("203,530")


def test_everything_has_a_name_for_a_screen_reader(page):
    for lens in ("One digit", "Two digits", "Doodle", "Generator", "Plate"):
        page.get_by_role("button", name=lens).click()
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, canvas')]
                .filter((e) => e.offsetParent !== null)
                .filter((e) => !(e.labels?.length || e.ariaLabel || e.textContent.trim()
                    || e.closest('figure')?.querySelector('figcaption')))
                .map((e) => e.outerHTML)"""
        )
        assert nameless == []


def test_a_finger_draws_on_a_small_dark_screen(browser, address):
    with browser.new_context(
        viewport={"width": 360, "height": 740}, has_touch=True, color_scheme="dark"
    ) as context:
        page = context.new_page()
        opened(page, address)
        box = page.locator("#canvas").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        expect(page.locator("#help")).to_contain_text("a dot")
        dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert dark == "rgb(23, 22, 20)"


def test_the_page_of_the_interface_lists_its_routes(page, address):
    page.goto(f"{address}/docs")
    page.wait_for_selector("body[data-ready=yes]")
    expect(page.get_by_role("heading", name="POST /api/digit")).to_be_visible()


def test_page_and_interface_may_run_apart(browser):
    web = browsers.free_port()
    origin = f"http://127.0.0.1:{web}"
    with (
        browsers.served(Settings(part="api", origin=origin, numpy_only=True)) as interface,
        browsers.served(Settings(part="web", api_url=interface), port=web),
        browser.new_context() as context,
    ):
        page = context.new_page()
        opened(page, origin)
        draw(page, tracing.traced(DIGITS.test.images[row_of(7)]))
        expect(page.locator("#digit-readers .verdict")).to_have_text(["7", "7"])


@pytest.mark.skipif(DIGITS.is_stand_in, reason="no real MNIST on this machine")
def test_200_held_out_digits_through_the_whole_page(page):
    """At random rows, none left out; drawn by strokes that the page is handed, as by Load."""
    rows = np.random.default_rng(9).choice(len(DIGITS.test), 200, replace=False)
    right = np.zeros(3)
    for row in rows:
        drawing = [s.round(1).tolist() for s in tracing.traced(DIGITS.test.images[row])]
        page.evaluate(
            "text => localStorage.setItem('nn-course-drawings', text)",
            json.dumps({"drawing": drawing}),
        )
        page.evaluate("document.getElementById('digit-readers').replaceChildren()")
        page.evaluate("document.getElementById('saved').replaceChildren(new Option('drawing'))")
        page.locator("#load").click()
        expect(page.locator("#digit-readers .verdict")).to_have_count(3, timeout=20_000)
        right += np.array(verdicts(page)) == str(DIGITS.test.labels[row])
    assert (right / 200).max() >= 0.97
    assert (right / 200).min() >= 0.9
