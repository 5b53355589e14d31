"""Figures tell in words what they show."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from IPython.display import display
from PIL import Image

from utils import plots
from utils.history import History
from utils.plots import describe, number


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.00"),
        (0.5, "0.500"),
        (-2.3456, "-2.35"),
        (99.96, "100."),
        (100, "100.0"),
        (1234.56, "1234.6"),
        (1e7, "1.00e+07"),
        (1.5e-7, "1.50e-07"),
        (np.nan, "nan"),
    ],
)
def test_numbers_have_three_digits_and_a_point(value: float, text: str):
    assert number(value) == text


def test_lines_marks_areas_bars_images_and_texts_are_told():
    fig, axes = plt.subplots(2, 2)
    axes[0, 0].plot([0, 1, 2], [3, 1, 2], label="train")
    axes[0, 0].set(xlabel="step", ylabel="loss", title="It falls")
    axes[0, 1].scatter([0, 1], [2, 4], label="points")
    axes[0, 1].fill_between([0, 1], [0, 0], [1, 2])
    axes[1, 0].bar([0, 1], [0.25, 0.75])
    axes[1, 0].barh([0, 1], [3.0, 4.0])
    axes[1, 1].imshow([[0, 1], [2, 5]])
    axes[1, 1].add_patch(plt.Rectangle((0, 0), 1, 1))
    axes[1, 1].text(0, 0, "here")
    assert describe(axes[0, 0]) == (
        "It falls; “loss” against “step”; line “train”, 3 points, from 3.00 to 2.00, "
        "min 1.00, max 3.00"
    )
    words = describe(axes[0, 1])
    assert "marks “points”, 2, x min 0.00, max 1.00, y min 2.00, max 4.00" in words
    assert "area, y min 0.00, max 2.00" in words
    words = describe(axes[1, 0])
    assert "bars, 2, min 0.250, max 0.750" in words
    assert "bars, 2, min 3.00, max 4.00" in words
    assert "1 shapes; image 2×2, mean 2.00, min 0.00, max 5.00; “here”" in describe(axes[1, 1])


def test_rounding_noise_is_told_as_zero():
    _, ax = plt.subplots()
    ax.plot([0, 1], [1.0, 1e-17])
    assert "from 1.00 to 0.00, min 0.00" in describe(ax)


def test_lines_without_a_finite_value_and_many_texts_are_told():
    _, ax = plt.subplots()
    ax.plot([0, 1], [np.nan, np.inf])
    for i in range(20):
        ax.text(i, 0, str(i))
    assert "line, 2 points, no finite value; 20 texts" in describe(ax)


def test_show_displays_a_picture_with_its_words_and_prints_them(monkeypatch, capsys):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda *a, **k: shown.append((*a, k)))
    assert display is not None
    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1])
    plots.show(fig)
    (bundle, options) = shown[0]
    words = "[plot 1] line, 2 points, from 0.00 to 1.00, min 0.00, max 1.00"
    assert capsys.readouterr().out == words + "\n"
    assert options == {"metadata": {"image/png": {"alt": words}}, "raw": True}
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert "Matplotlib" in picture.info["Software"]
    assert not plt.fignum_exists(fig.number)


def test_a_title_above_all_panels_is_told_first(monkeypatch, capsys):
    monkeypatch.setattr("IPython.display.display", lambda *_, **__: None)
    fig, axes = plt.subplots(2)
    axes[1].set_xlabel("step")
    fig.suptitle("Two ways")
    plots.show(fig)
    assert capsys.readouterr().out == "[plot] Two ways\n[plot 1] \n[plot 2] against “step”\n"


def test_an_image_grid_shows_every_image_once():
    images = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    fig = plots.image_grid(images, ["a", "b", "c"], columns=2)
    sheet = np.asarray(fig.axes[0].images[0].get_array())
    inked = sheet[np.isfinite(sheet)]
    np.testing.assert_array_equal(np.sort(inked), np.arange(60))
    assert [text.get_text() for text in fig.axes[0].texts] == ["a", "b", "c"]
    assert plots.image_grid(np.zeros((2, 4, 4, 3), np.uint8)).axes[0].images


def test_an_image_grid_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="N ≥ 1"):
        plots.image_grid(np.zeros((0, 4, 4)))
    with pytest.raises(ValueError, match="2 images need as many titles"):
        plots.image_grid(np.zeros((2, 4, 4)), ["one"])


def histories(count: int) -> list[History]:
    made = [History() for _ in range(count)]
    for seed, history in enumerate(made):
        for epoch in (1, 2, 3):
            history.append(epoch=epoch, loss=1 / epoch + 0.1 * seed)
    return made


def test_curves_draw_the_mean_and_a_band_over_seeds():
    ax = plots.curves({"sgd": histories(3), "adam": histories(1)}, "loss")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [1.1, 0.6, 1 / 3 + 0.1])
    assert len(ax.lines) == 2
    assert len(ax.collections) == 1  # one run has no band
    assert "line “sgd”" in describe(ax)


def test_a_confusion_matrix_is_written_into_its_cells():
    fig = plots.confusion([[9, 1], [0, 5]], ["cat", "dog"], title="Mostly right")
    assert [text.get_text() for text in fig.axes[0].texts] == ["9", "1", "5"]
    assert describe(fig.axes[0]).startswith("Mostly right; “true” against “predicted”")


def test_decision_regions_colour_the_plane_by_the_prediction():
    points, labels = np.array([[0.0, 0], [1, 1]]), np.array([0, 1])
    ax = plots.decision_regions(lambda p: (p[:, 0] > 0.5).astype(int), points, labels, steps=50)
    regions = np.asarray(ax.images[0].get_array())
    assert (regions[:, 0] == 0).all()
    assert (regions[:, -1] == 1).all()


def test_the_house_colours_are_told_apart_by_everyone():
    plots.style()
    assert len(set(plots.COLOURS)) == 8
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"] == list(plots.COLOURS)
