"""Competition files: what is written is read back, and each fault is named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils import kaggle

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
LABELS = np.array([3, 1, 4, 1, 5])


def test_train_and_test_files_go_and_come_back(tmp_path: Path):
    kaggle.write_digits(tmp_path / "train.csv", IMAGES, LABELS)
    kaggle.write_digits(tmp_path / "test.csv", IMAGES)
    images, labels = kaggle.read_train(tmp_path / "train.csv")
    np.testing.assert_array_equal(images, IMAGES)
    np.testing.assert_array_equal(labels, LABELS)
    assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
    np.testing.assert_array_equal(kaggle.read_test(tmp_path / "test.csv"), IMAGES)
    header = (tmp_path / "train.csv").read_text().split("\n", 1)[0]
    assert header.startswith("label,pixel0,pixel1,")
    assert header.endswith(",pixel783")


def test_a_submission_goes_and_comes_back(tmp_path: Path):
    path = tmp_path / "submission.csv"
    kaggle.write_submission(path, LABELS)
    assert path.read_text().splitlines()[:3] == ["ImageId,Label", "1,3", "2,1"]
    np.testing.assert_array_equal(kaggle.read_submission(path, 5), LABELS)


def table() -> pd.DataFrame:
    return pd.DataFrame(IMAGES.reshape(5, -1), columns=kaggle.PIXELS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="pixel9"), r"lacks pixel9; it needs pixel0 … pixel783 \(784\)"),
        (lambda t: t.assign(label=1), "has also label;"),
        (lambda t: t.iloc[:, :10], r"lacks pixel10 … pixel783 \(774\)"),
        (lambda t: t.rename(columns=dict(zip(t, range(784), strict=True))), "lacks .* has also"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.astype(float).replace(t.iat[2, 3], np.nan), "no whole number from 0 to 255"),
        (lambda t: t.map(lambda v: "?" if v == t.iat[2, 3] else v), "'\\?' is no whole number"),
        (lambda t: t / 255, "row 1, pixel.* is no whole number"),
        (lambda t: t.astype(int) * 2, "no whole number from 0 to 255"),
    ],
)
def test_a_spoilt_test_file_is_refused(change, words, tmp_path: Path):
    change(table()).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(ValueError, match=words) as error:
        kaggle.read_test(tmp_path / "test.csv")
    assert str(error.value).startswith("test.csv")


@pytest.mark.parametrize("text", ["", "<html>\nNot found, sorry, really\n", "\x00\x01"])
def test_what_is_no_table_is_refused(text: str, tmp_path: Path):
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(ValueError, match=r"^train\.csv "):
        kaggle.read_train(tmp_path / "train.csv")


def test_785_columns_of_which_none_is_the_label_are_refused(tmp_path: Path):
    wrong = table().assign(pixel784=0)
    wrong.to_csv(tmp_path / "train.csv", index=False)
    with pytest.raises(ValueError, match="lacks label and has also pixel784"):
        kaggle.read_train(tmp_path / "train.csv")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["1,3", "2,1"], "has 2 rows; the test set has 3 images"),
        (["0,3", "1,1", "2,4"], "ImageId must count from 1 to 3"),
        (["1,3", "3,1", "2,4"], "ImageId must count from 1 to 3"),
        (["1,3", "2,10", "3,4"], "row 2, Label: .*10.* no whole number from 0 to 9"),
        (["1,3", "2,", "3,4"], "row 2, Label"),
        (["1,3", "2,one", "3,4"], "row 2, Label: 'one'"),
    ],
)
def test_a_spoilt_submission_is_refused(lines: list[str], words: str, tmp_path: Path):
    (tmp_path / "submission.csv").write_text("\n".join(["ImageId,Label", *lines]) + "\n")
    with pytest.raises(ValueError, match=words):
        kaggle.read_submission(tmp_path / "submission.csv", 3)
