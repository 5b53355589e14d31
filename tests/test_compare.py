"""The one comparison rule, number by number and picture by picture."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.compare import (
    Tolerance,
    allowed_difference,
    why_outputs_differ,
    why_pictures_differ,
    why_texts_differ,
)

STRICT = Tolerance()

SAME = [
    ("loss 0.512", "loss 0.513"),  # one unit of the last digit
    ("loss 1.234e-05", "loss 1.235e-05"),
    ("[1.50 2.25]\n[3.75]", "[1.50 2.25] [3.75]"),  # white space reflows
    ("-0.000", "0.000"),
    ("✓ accuracy ≥ 0.97   (measured 0.9731)", "✓ accuracy ≥ 0.97   (measured 0.9802)"),
    ("0.1234567890123", "0.1234567890124"),
    ("10.0", "9.98"),  # one unit of the stored number's last digit
    ("\x1b[31mred\x1b[0m", "red"),
    ("nan and inf", "nan and inf"),
    ("1", "1.00"),
]
DIFFERENT = [
    ("count 88", "count 89"),  # integers are exact
    ("0.51", "0.52"),  # fewer than three significant digits
    ("0.5", "0.6"),
    ("5e-3", "6e-3"),
    ("loss 0.512", "loss 0.514"),
    ("1.234e-05", "1.237e-05"),
    ("loss 0.512", "gain 0.512"),
    ("1.2.3", "1.2.4"),  # a version is a word
    ("28x28", "28x29"),
    ("0.5s", "0.6s"),
    ("nan", "0.123"),
    ("-1.234", "1.234"),
    ("✓ accuracy ≥ 0.97   (measured 0.9731)", "✓ accuracy ≥ 0.96   (measured 0.9731)"),
    ("a b", "a b c"),
]


@pytest.mark.parametrize(("stored", "new"), SAME)
def test_texts_that_agree(stored: str, new: str):
    assert why_texts_differ(stored, new, STRICT) is None


@pytest.mark.parametrize(("stored", "new"), DIFFERENT)
def test_texts_that_differ(stored: str, new: str):
    assert why_texts_differ(stored, new, STRICT)


def test_the_reason_shows_both_lines():
    why = why_texts_differ("first\nloss 0.512 now", "first\nloss 0.612 now", STRICT)
    assert why == (
        "0.512 became 0.612 (allowed ±0.001)\n  stored: loss 0.512 now\n  now:    loss 0.612 now"
    )


def test_tags_widen_the_tolerance():
    assert why_texts_differ("loss 0.5", "loss 0.6", Tolerance.of(["rtol:0.3"])) is None
    assert why_texts_differ("loss 0.5", "loss 0.7", Tolerance.of(["rtol:0.3"]))
    assert why_texts_differ("12 steps", "14 steps", Tolerance.of(["atol:2"])) is None
    assert why_texts_differ("12 steps", "15 steps", Tolerance.of(["atol:2"]))


def test_trained_cells_keep_words_and_counts_of_alt_text():
    trained = Tolerance.of(["trained"])
    stored = "[plot 1] loss; line, 88 points, min 0.0414"
    assert why_texts_differ(stored, stored.replace("0.0414", "0.0913"), trained) is None
    assert why_texts_differ(stored, stored.replace("88", "87"), trained)
    assert why_texts_differ(stored, stored.replace("loss", "gain"), trained)
    assert why_texts_differ("loss 0.512", "loss 0.612", trained)  # not alt text: compared


@given(st.floats(1e-6, 1e6), st.integers(3, 9))
@settings(derandomize=True, deadline=None)
def test_a_number_agrees_with_itself_and_not_with_two_units_more(value: float, digits: int):
    stored = f"{value:.{digits - 1}e}"
    unit = 10.0 ** (int(stored.partition("e")[2]) - digits + 1)
    assert why_texts_differ(stored, stored, STRICT) is None
    more = f"{float(stored) + 2 * unit:.{digits - 1}e}"
    assert why_texts_differ(stored, more, STRICT)


def test_what_is_allowed_is_one_unit_of_the_stored_number():
    assert allowed_difference("0.512", "0.513", STRICT) == pytest.approx(0.001, rel=0.01)
    assert allowed_difference("51", "52", STRICT) == 0
    assert allowed_difference("0.51", "0.52", STRICT) == 0


def stream(text: str, name: str = "stdout") -> dict:
    return {"output_type": "stream", "name": name, "text": text}


def shown(**data: str) -> dict:
    return {"output_type": "display_data", "data": data, "metadata": {}}


def test_outputs_of_another_kind_differ():
    assert why_outputs_differ([stream("a")], [], [])
    why = why_outputs_differ([stream("a")], [stream("a"), stream("careful!", "stderr")], [])
    assert "careful!" in why
    assert why_outputs_differ([stream("a"), stream("b")], [stream("ab")], []) is None


def test_structured_outputs_are_compared_as_numbers():
    old, new = ({"application/json": {"x": [0.12345, x]}} for x in (1.2345, 1.2346))
    assert why_outputs_differ([shown(**old)], [shown(**new)], []) is None
    new["application/json"]["x"][1] = 1.2445
    assert why_outputs_differ([shown(**old)], [shown(**new)], [])


def test_errors_are_compared_by_name_and_message():
    old, new = (
        {"output_type": "error", "ename": "ValueError", "evalue": text, "traceback": [text]}
        for text in ("too few", "too many")
    )
    assert why_outputs_differ([old], [old], []) is None
    assert why_outputs_differ([old], [new], [])


# --- pictures -----------------------------------------------------------------------------------


def sine(**changes) -> str:
    """A base64 PNG of a sine curve with 300 marks, and whatever is changed about it."""
    style = {"amplitude": 1.0, "color": "#0072B2", "linewidth": 1.5, "title": "A wave", "moved": 0}
    style |= changes
    x = np.linspace(0, 6, 300)
    fig, ax = plt.subplots(figsize=(6, 3.6), dpi=100)
    ax.plot(x, style["amplitude"] * np.sin(x), color=style["color"], lw=style["linewidth"])
    y = np.cos(x)
    y[150] += style["moved"]
    ax.plot(x[::10], y[::10], "o", color="black")
    ax.set_title(style["title"])
    out = io.BytesIO()
    fig.savefig(out, metadata={"Software": style.get("software", "Matplotlib version3.11.2, x")})
    plt.close(fig)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize(
    "changes",
    [{"color": "#D55E00", "linewidth": 4}, {"moved": 1.5}, {"amplitude": 0.3}],
    ids=str,
)
def test_pictures_that_differ(changes: dict):
    assert why_pictures_differ(sine(), sine(**changes), STRICT)


def test_pictures_that_agree():
    assert why_pictures_differ(sine(), sine(), STRICT) is None
    assert why_pictures_differ(sine(), sine(amplitude=1.001), STRICT) is None
    assert why_pictures_differ(sine(), sine(moved=1.5), Tolerance(rms=12)) is None


def test_pictures_of_another_matplotlib_or_of_trained_networks_are_not_compared():
    other = sine(amplitude=0.3, software="Matplotlib version3.10.9, x")
    assert why_pictures_differ(sine(), other, STRICT) is None
    assert why_pictures_differ(sine(), sine(amplitude=0.3), Tolerance(trained=True)) is None


def test_a_picture_of_another_size_differs():
    fig, _ = plt.subplots(figsize=(3, 3))
    out = io.BytesIO()
    fig.savefig(out, metadata={"Software": "Matplotlib version3.11.2, x"})
    plt.close(fig)
    small = base64.b64encode(out.getvalue()).decode()
    assert "size" in why_pictures_differ(sine(), small, STRICT)
