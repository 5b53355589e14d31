"""Are the stored outputs of a cell and the new ones the same? One rule for the whole course.

Words are compared as words (white space may reflow). Numbers are compared as numbers: integers
exactly; floats with fewer than three significant digits exactly; other floats within one unit of
the stored number's last digit or 1e-9 relative. A cell may ask for more with the tags ``rtol:…``
and ``atol:…``, and for pictures ``rms:…``. In a cell tagged ``trained`` the floats of alt text
and the pixels are not compared. ``(measured …)`` brackets of claims never are.
"""

import base64
import difflib
import io
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tools.notebooks import ANSI, MEASURED

RELATIVE = 1e-9  # float64 arithmetic on another processor
RMS = 4.0  # of 255, at 160 pixels wide: another font or title 1.5 to 3, other data 8 and more
BLOCK_RMS = 40.0  # the same in any one block of 8×8 such pixels: one mark that moved
WIDTH, BLOCK = 160, 8
ALT_TEXT = "[plot "

# A number stands free: 1.2.3 and 28x28 are words. `++` never gives back what it matched.
NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?\d++)?+(?![\w]|\.\d)")


@dataclass(frozen=True)
class Tolerance:
    """What the tags of a cell allow beyond the one rule."""

    rtol: float = 0.0
    atol: float = 0.0
    rms: float = RMS
    trained: bool = False

    @classmethod
    def of(cls, tags: Iterable[str]) -> "Tolerance":
        asked = {}
        for tag in tags:
            name, _, value = tag.partition(":")
            if name in ("rtol", "atol", "rms"):
                asked[name] = float(value)
        return cls(**asked, trained="trained" in tags)


def why_outputs_differ(stored: list[dict], new: list[dict], tags: Iterable[str]) -> str | None:
    """None when two lists of notebook outputs agree, else one readable reason."""
    tolerance = Tolerance.of(tags)
    old_parts, new_parts = _parts(stored), _parts(new)
    if [kind for kind, _ in old_parts] != [kind for kind, _ in new_parts]:
        return (
            f"the kinds of output changed:\n  stored: {_kinds(old_parts)}"
            f"\n  now:    {_kinds(new_parts)}{_first_text(old_parts, new_parts)}"
        )
    for (kind, old), (_, fresh) in zip(old_parts, new_parts, strict=True):
        if why := _why_part_differs(kind, old, fresh, tolerance):
            return why
    return None


def _why_part_differs(kind: str, old: str, new: str, tolerance: Tolerance) -> str | None:
    if kind.startswith("image/"):
        return why_pictures_differ(old, new, tolerance)
    return why_texts_differ(old, new, tolerance)


def _parts(outputs: list[dict]) -> list[tuple[str, str]]:
    """Outputs as (kind, content): streams merged by name, one entry for every MIME type."""
    streams: dict[str, str] = {}
    parts: list[tuple[str, str]] = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            streams[output["name"]] = streams.get(output["name"], "") + _text(output["text"])
        elif kind == "error":
            parts.append(("error", f"{output['ename']}: {output['evalue']}"))
        else:
            data = output["data"].items()
            parts += [(k, _text(v)) for k, v in sorted(data) if "widget-view" not in k]
    return [(name, text) for name, text in sorted(streams.items())] + parts


def _text(value) -> str:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, indent=0)


def _kinds(parts: list[tuple[str, str]]) -> str:
    return ", ".join(kind for kind, _ in parts) or "nothing"


def _first_text(old: list[tuple[str, str]], new: list[tuple[str, str]]) -> str:
    """The first line of a text that only one side has: usually a warning or an error."""
    only_new = [text for kind, text in new if kind not in dict(old) and not kind.startswith("im")]
    return f"\n  new:    {only_new[0].strip().splitlines()[0][:200]}" if only_new else ""


def why_texts_differ(stored: str, new: str, tolerance: Tolerance) -> str | None:
    """None when two texts agree by the rule, else the reason with both lines."""
    old, fresh = (_comparable(text, tolerance.trained) for text in (stored, new))
    if _words(old) != _words(fresh):
        return f"the words differ:{_line_pair(old, fresh)}"
    numbers = zip(NUMBER.finditer(old), NUMBER.finditer(fresh), strict=True)
    for a, b in numbers:
        allowed = allowed_difference(a.group(), b.group(), tolerance)
        if not abs(float(a.group()) - float(b.group())) <= allowed:
            limit = f"allowed ±{allowed:.2g}" if allowed else "no difference is allowed"
            return (
                f"{a.group()} became {b.group()} ({limit})"
                f"\n  stored: {_line_at(old, a.start())}\n  now:    {_line_at(fresh, b.start())}"
            )
    return None


def allowed_difference(stored: str, new: str, tolerance: Tolerance) -> float:
    """How far two written numbers may lie apart."""
    x = abs(float(stored))
    allowed = max(tolerance.atol, tolerance.rtol * x)
    floats = all(re.search(r"[.eE]", text) for text in (stored, new))
    if floats and min(_significant(stored), _significant(new)) >= 3:
        # 1.001: two numbers one unit apart differ by a hair more than a unit in binary
        allowed = max(allowed, RELATIVE * x, 1.001 * _unit(stored))
    return allowed


def _significant(number: str) -> int:
    digits = re.split("[eE]", number.lstrip("+-"))[0].replace(".", "")
    return len(digits.lstrip("0")) or len(digits)  # 0.000 is written with four digits


def _unit(number: str) -> float:
    """One step in the last printed digit: 0.001 for 2.718, 10 for 1.2e2."""
    mantissa, _, exponent = number.lower().partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def _comparable(text: str, trained: bool) -> str:
    text = MEASURED.sub("(measured …)", ANSI.sub("", text))
    if trained:
        lines = text.split("\n")
        text = "\n".join(
            _mask_floats(line) if line.startswith(ALT_TEXT) else line for line in lines
        )
    return text


def _mask_floats(line: str) -> str:
    return NUMBER.sub(lambda m: "…" if re.search(r"[.eE]", m.group()) else m.group(), line)


def _words(text: str) -> str:
    return "".join(NUMBER.sub("#", text).split())


def _line_at(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    return text[start : (text + "\n").index("\n", position)].strip()[:300]


def _line_pair(old: str, new: str) -> str:
    """The first lines that differ."""
    pairs = difflib.ndiff(
        [ln.strip() for ln in old.split("\n")], [ln.strip() for ln in new.split("\n")]
    )
    changed = [line for line in pairs if line[0] in "-+"]
    before = next((line[2:] for line in changed if line[0] == "-"), "(nothing)")
    after = next((line[2:] for line in changed if line[0] == "+"), "(nothing)")
    return f"\n  stored: {before[:300]}\n  now:    {after[:300]}"


def why_pictures_differ(stored: str, new: str, tolerance: Tolerance) -> str | None:
    """None when two base64 PNGs show the same, else the reason. Other Matplotlibs: not compared."""
    old, fresh = (Image.open(io.BytesIO(base64.b64decode(text))) for text in (stored, new))
    if tolerance.trained or _version(old) != _version(fresh):
        return None  # another minor version of Matplotlib lays out its texts differently
    if max(abs(old.width - fresh.width), abs(old.height - fresh.height)) > 8:
        return f"the picture's size {old.size} became {fresh.size}"
    squared = (_small(old, old.size) - _small(fresh, old.size)) ** 2  # (height, 160, 3)
    overall, worst = squared.mean() ** 0.5, _worst_block(squared) ** 0.5
    if overall > tolerance.rms or worst > BLOCK_RMS * tolerance.rms / RMS:
        return (
            f"the picture changed: RMS {overall:.1f} overall (allowed {tolerance.rms:g}), "
            f"{worst:.0f} in the worst spot (allowed {BLOCK_RMS * tolerance.rms / RMS:g}), of 255"
        )
    return None


def _version(image: Image.Image) -> str:
    """“Matplotlib version3.11”, as Matplotlib writes it into a PNG; empty for other pictures."""
    return ".".join(image.info.get("Software", "").split(",")[0].split(".")[:2])


def _small(image: Image.Image, size: tuple[int, int]) -> np.ndarray:
    height = max(1, round(WIDTH * size[1] / size[0]))
    small = image.convert("RGB").resize((WIDTH, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=float)


def _worst_block(squared: np.ndarray) -> float:
    """Largest mean over blocks of 8×8 pixels, every four pixels."""
    height, width = squared.shape[:2]
    half = BLOCK // 2
    grid = squared.mean(axis=2)
    grid = np.pad(grid, ((0, -height % half), (0, -width % half)))
    quarter = grid.reshape(grid.shape[0] // half, half, -1, half).mean(axis=(1, 3))
    if min(quarter.shape) < 2:
        return float(quarter.max())
    blocks = quarter[:-1, :-1] + quarter[1:, :-1] + quarter[:-1, 1:] + quarter[1:, 1:]
    return float(blocks.max() / 4)
