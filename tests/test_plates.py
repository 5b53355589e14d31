"""Plates: texts, drawing, what cameras do to them, sets, readers, and bad input."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from benchmarks import plates_speed
from OptimisationNN.plates import (
    augment,
    commands,
    drawing,
    finding,
    readers,
    recorded,
    scenes,
    sets,
    study,
    templates,
    training,
)
from OptimisationNN.plates.texts import BLANK, CYRILLIC, SHARED, Alphabet
from utils.metrics import average_precision
from utils.paths import ROOT

ALPHABETS = (Alphabet(), Alphabet(CYRILLIC), Alphabet("AБ"))


# --- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphabet", ALPHABETS)
@given(seed=st.integers(0, 10_000))
def test_what_is_drawn_has_the_form_and_comes_back_from_its_classes(alphabet, seed):
    text = alphabet.draw(np.random.default_rng(seed))
    assert alphabet.check(text) == text
    assert text[1:4] != "000"
    classes = alphabet.encode(text)
    assert classes.shape == (9,)
    assert (classes[8] == BLANK) == (len(text) == 8)
    assert alphabet.decode(classes) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("D123BC77", "'D' is not in the alphabet"),
        ("А123BC77", "'А' is not in the alphabet"),  # Cyrillic А
        ("A12BC77", "has not the form"),
        ("A123BC7", "has not the form"),
        ("AA23BC77", "has not the form"),
        ("", "has not the form"),
    ],
)
def test_a_text_of_another_form_is_refused(text: str, why: str):
    with pytest.raises(ValueError, match=why):
        Alphabet().encode(text)


@pytest.mark.parametrize("letters", ["", "ABA"])
def test_an_alphabet_has_each_letter_once(letters: str):
    with pytest.raises(ValueError, match="each once"):
        Alphabet(letters)


def test_bits_count_the_plates_of_a_region():
    assert 2 ** Alphabet(SHARED).bits == pytest.approx(12**3 * 999)


# --- drawing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("alphabet", ALPHABETS[:2])
def test_labels_never_disagree_with_pixels(alphabet: Alphabet):
    for index in range(30):
        text, image = sets.photograph(alphabet, 3, index, 0.0)
        assert templates.read_clean(image, alphabet) == text


def test_templates_read_the_pixels_and_nothing_else():
    for text in ("A888OO01", "O000MM100", "M808AB808"):
        assert templates.read_clean(drawing.plate(text), Alphabet()) == text


def test_ink_is_what_was_printed():
    for character, cell in zip("M123AB777", drawing.cells("M123AB777"), strict=True):
        rows, columns, own = drawing.printed(character, cell)
        assert abs(drawing.ink_of(PLATE_777)[rows, columns] - own).mean() < 3, "grey values"


def test_a_plate_is_the_same_wherever_one_begins():
    whole = [sets.photograph(Alphabet(), 7, index, 0.0) for index in range(5)]
    for index in (3, 4):
        text, image = sets.photograph(Alphabet(), 7, index, 0.0)
        assert text == whole[index][0]
        np.testing.assert_array_equal(image, whole[index][1])
    assert whole[0][0] != sets.photograph(Alphabet(), 8, 0, 0.0)[0]


def test_all_characters_stay_on_the_plate():
    for text in ("M000MM00", "M888MM888"):
        for cell in drawing.cells(text):
            left, top, right, bottom = drawing._box(cell)
            assert 5 < left < right < 555
            assert 5 < top < bottom < 115


PLATE_777 = drawing.plate("M123AB777")


# --- what cameras do -----------------------------------------------------------------------------


PLATE = drawing.plate("A123BC77")


@pytest.mark.parametrize("name", augment.CHANGES)
def test_each_change_is_seen_keeps_the_form_and_is_none_at_strength_0(name: str):
    change = augment.CHANGES[name]
    before = PLATE.copy()
    seen = []
    for seed in range(10):
        image = change(PLATE, np.random.default_rng(seed), 1.0)
        again = change(PLATE, np.random.default_rng(seed), 1.0)
        assert image.shape == PLATE.shape
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, again)
        seen.append(abs(image.astype(int) - PLATE).max())
        np.testing.assert_array_equal(change(PLATE, np.random.default_rng(seed), 0.0), PLATE)
    assert np.mean(seen) > 15, "grey values"
    np.testing.assert_array_equal(PLATE, before)


def test_noise_works_on_white_where_the_archive_s_does_nothing():
    white = np.full((30, 140, 3), 255, np.uint8)
    assert augment.noisy(white, np.random.default_rng(1), 1.0).std() > 1


def test_a_gaussian_blur_is_one():
    dot = np.zeros((31, 31, 3), np.uint8)
    dot[15, 15] = 255
    rng = np.random.default_rng(0)
    sigma = 0.6 * np.random.default_rng(0).random()
    blurred = augment.blurred(dot, rng, 1.0)[..., 0].astype(float)
    ratio = blurred[15, 16] / blurred[15, 15]
    assert ratio == pytest.approx(np.exp(-1 / (2 * sigma**2)), abs=0.02)


@pytest.mark.parametrize("name", augment.CHANGES)
def test_a_change_stays_one_far_beyond_what_training_shows(name: str):
    for seed in range(5):
        image = augment.CHANGES[name](PLATE, np.random.default_rng(seed), 4.0)
        assert image.shape == PLATE.shape
        assert image.dtype == np.uint8
        assert image.flags.c_contiguous
        assert image.std() > 1, "more than one colour"


@pytest.mark.parametrize("strength", [1.0, 4.0])
def test_motion_keeps_the_light(strength: float):
    dot = np.zeros((31, 31, 3), np.uint8)
    dot[15, 15] = 252
    for seed in range(5):
        moved = augment.moved(dot, np.random.default_rng(seed), strength)[..., 0]
        assert float(moved.sum()) == pytest.approx(252, abs=moved.astype(bool).sum() / 2)


def test_between_pixels_colours_are_mixed_and_outside_is_the_edge():
    image = np.zeros((2, 5, 3), np.uint8)
    image[0, 1:], image[1, 1:] = 100, 200
    rows = np.array([[0.0, 0.5, 1.0, -3.0, 9.0]] * 2)
    columns = np.array([[0.5, 0.5, 1.0, 1.0, 9.0]] * 2)
    seen = augment._between(image, rows, columns)
    assert seen[0, :, 0].tolist() == [50, 75, 200, 100, 200]


def test_a_homography_takes_four_points_to_four_points():
    rng = np.random.default_rng(0)
    source, target = rng.uniform(0, 100, (2, 4, 2))
    a, b, c, d, e, f, g, h = augment.homography(source, target)
    x, y = source.T
    found = np.stack([a * x + b * y + c, d * x + e * y + f]) / (g * x + h * y + 1)
    np.testing.assert_allclose(found.T, target, atol=1e-6)


def test_only_what_is_named_happens():
    rng = np.random.default_rng(0)
    image = augment.photographed(PLATE, rng, {"lit": 1.0})
    assert (image <= PLATE).all()
    np.testing.assert_array_equal(augment.photographed(PLATE, rng, {}), PLATE)


# --- sets ----------------------------------------------------------------------------------------


def test_a_set_is_the_same_for_a_seed_and_ends():
    data = sets.Plates(4, seed=5)
    images, classes = data.tensors()
    assert images.shape == (4, 3, 30, 140)
    assert classes.shape == (4, 9)
    torch.testing.assert_close(images[2], sets.Plates(4, seed=5)[2][0])
    with pytest.raises(IndexError, match="no plate 4"):
        data[4]


def test_what_is_written_is_what_the_set_holds(tmp_path: Path):
    table = sets.write(tmp_path / "out", 3, 5, Alphabet(), 0.5)
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    for index, row in enumerate(rows):
        text, image = sets.photograph(Alphabet(), 5, index, 0.5)
        assert row == {"file": f"{index:06}.png", "text": text}
        read = sets.read_image(tmp_path / "out" / row["file"])
        np.testing.assert_array_equal(read.permute(1, 2, 0).numpy(), image)


def test_an_interrupted_writing_goes_on(tmp_path: Path, monkeypatch):
    folder = tmp_path / "out"
    save = Image.Image.save

    def stops(self, path, *args, **kwargs):
        if len(list(folder.glob("0*.png"))) == 2:
            raise KeyboardInterrupt
        save(self, path, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", stops)
    with pytest.raises(KeyboardInterrupt):
        sets.write(folder, 4, 0, Alphabet())
    assert sorted(p.name for p in folder.iterdir()) == ["000000.png", "000001.png", "plates.json"]
    monkeypatch.setattr(Image.Image, "save", save)
    old = (folder / "000000.png").stat().st_mtime_ns
    sets.write(folder, 4, 0, Alphabet())
    assert (folder / "000000.png").stat().st_mtime_ns == old
    assert len(list(folder.glob("*.png"))) == 4


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(ValueError, match="is not empty"):
        sets.write(tmp_path, 1, 0, Alphabet())
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    sets.write(tmp_path / "a", 1, 0, Alphabet())
    with pytest.raises(ValueError, match="other settings"):
        sets.write(tmp_path / "a", 1, 1, Alphabet())
    with pytest.raises(ValueError, match="cannot be written"):
        sets.write(tmp_path / "mine.txt" / "b", 1, 0, Alphabet())


def test_a_file_that_is_no_plate_is_refused(tmp_path: Path):
    path = tmp_path / "x.png"
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"x.png is no image"):
        sets.read_image(path)
    Image.new("L", (50, 20)).save(path)
    with pytest.raises(ValueError, match="50×20 pixels; a plate has 140×30"):
        sets.read_image(path)
    Image.new("L", (140, 30), 128).save(path)
    assert sets.read_image(path).shape == (3, 30, 140)


# --- readers -------------------------------------------------------------------------------------


def small_set(count: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    return sets.Plates(count, seed=1, strength=0.0).tensors()


def test_attention_is_over_positions_and_logits_are_no_probabilities():
    reader = readers.PlaceReader(12, torch.Generator().manual_seed(0)).eval()
    images, _ = small_set()
    weights = reader.attention(reader.eyes(images))
    assert weights.shape == (8, 9, 35)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(8, 9))
    logits = reader(images)
    assert logits.shape == (8, 9, 12)
    assert (logits[:, 0] < 0).any()
    assert torch.isinf(logits[:, 1, 10:]).all()
    assert torch.isinf(logits[:, 8, 11:]).all()
    assert torch.isfinite(logits[:, 8, :11]).all()


def test_heads_stand_in_the_order_of_the_plate():
    alphabet = Alphabet()
    _, classes = small_set(5)
    logits = nn.functional.one_hot(classes, 12) * 9.0
    texts_of = [alphabet.decode(row) for row in classes.numpy()]
    assert readers.place_texts(logits, alphabet) == texts_of
    assert readers.place_loss(logits, classes) < 0.01


def test_ctc_symbols_and_best_paths_agree():
    alphabet = Alphabet()
    texts_of = ["A112BC77", "M005MM100"]
    classes = torch.stack([torch.from_numpy(alphabet.encode(text)) for text in texts_of])
    symbols, lengths = readers.as_symbols(classes)
    logits = torch.full((2, 35, 23), 0.0)
    for row in range(2):
        for place in range(lengths[row]):
            logits[row, 3 * place, symbols[row, place]] = 20.0
        for step in set(range(35)) - set(range(0, 3 * int(lengths[row]), 3)):
            logits[row, step, 0] = 20.0
    assert readers.line_texts(logits, alphabet) == texts_of
    assert readers.line_loss(logits, classes) < 1e-3


def test_shares_count_characters_and_whole_plates():
    assert readers.shares_right(["A1", "B2"], ["A1", "B3"]) == (0.75, 0.5)
    assert readers.shares_right(["A"], ["AB"]) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("make", "loss"),
    [(readers.PlaceReader, readers.place_loss), (readers.LineReader, readers.line_loss)],
)
def test_a_reader_learns_a_few_plates_by_heart(make, loss):
    images, classes = small_set(4)
    reader = make(12, torch.Generator().manual_seed(0), width=32)
    optimizer = torch.optim.Adam(reader.parameters(), lr=3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(reader(images), classes)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.6 * losses[0]


def test_a_stream_goes_on_with_the_same_plates():
    data = sets.Plates(1000, seed=0, strength=0.0)
    generator = torch.Generator().manual_seed(3)
    stream = sets.Stream(data, 2, 2, generator)
    list(stream)
    state = generator.get_state()
    later = [images for images, _ in stream]
    generator.set_state(state)
    for images, (again, _) in zip(later, stream, strict=True):
        torch.testing.assert_close(images, again)


@pytest.mark.parametrize("kind", training.KINDS)
def test_an_interrupted_training_goes_on_to_the_same_reader(kind: str, tmp_path: Path):
    plan = training.Plan(kind, epochs=2, steps=2, batch=4, checked=6, strength=0.3)
    whole, history = training.train(plan, 0)
    file = tmp_path / "reader.ckpt"
    with pytest.raises(KeyboardInterrupt):
        interrupted(plan, file)
    again, same = training.train(plan, 0, checkpoint=file)
    assert same.rows == history.rows
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert all(isinstance(text, str) for text in training.read(again, plan, small_set(3)[0]))


def interrupted(plan: training.Plan, file: Path) -> None:
    """Train until the first epoch is in the checkpoint; while the second is scored, stop."""
    score, seen = training.score, []

    def stops(*given):
        seen.append(given)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return score(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "score", stops)
        training.train(plan, 0, checkpoint=file)


def test_an_unknown_reader_is_named():
    with pytest.raises(ValueError, match="there are place, line"):
        training.train(training.Plan("word"), 0)


# --- the study -----------------------------------------------------------------------------------


def test_arms_of_the_study_have_matched_counts():
    for seed in range(3):
        sizes = {name: len(alphabet.letters) for name, alphabet in study.arms(seed).items()}
        assert sizes == {
            "full": 33,
            "specialised": 27,
            "random": 27,
            "few_alike": 12,
            "few_distinct": 12,
        }
        assert set(study.ALIKE) <= set(study.arms(seed)["random"].letters)
        assert not set(study.ALIKE) & set(study.arms(seed)["specialised"].letters)
    assert study.arms(0)["random"] != study.arms(1)["random"]


def test_an_arm_is_trained_once_and_then_read(tmp_path: Path, monkeypatch):
    plan = training.Plan(epochs=1, steps=1, batch=4, checked=4)
    first = study.accuracies("random", 0, plan, 6, tmp_path)
    assert set(first) == {"characters", "plates", "seconds"}
    monkeypatch.setattr(study, "train", None)
    assert study.accuracies("random", 0, plan, 6, tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["random-0.json"]


def test_the_ledger_gets_each_arm_and_the_differences(monkeypatch):
    shares = {"full": 0.5, "specialised": 0.75, "random": 0.5, "few_alike": 0.25, "few_distinct": 1}
    monkeypatch.setattr(
        study, "accuracies", lambda arm, seed: {"plates": shares[arm], "seconds": 2}
    )
    handed_over = study.measure(0, "full")
    found = handed_over["metrics"]
    assert handed_over["seconds"] == 10
    assert found["accuracy_gain_specialised"] == 0.25
    assert found["accuracy_gain_at_equal_class_count"] == 0.25
    assert found["accuracy_gain_of_12_distinct"] == 0.75
    assert found["plate_accuracy_random"] == 0.5


# --- what is recorded ----------------------------------------------------------------------------


@pytest.fixture
def small_records(tmp_path: Path, monkeypatch):
    """Recorded functions with the smallest sizes, writing nothing into the course."""
    monkeypatch.setattr(recorded, "PLAN", training.Plan(epochs=1, steps=1, batch=4, checked=4))
    monkeypatch.setattr(recorded, "RUNS", tmp_path / "runs")
    for size in ("WRITTEN", "COMPARED", "TESTED", "ALONE", "FILES"):
        monkeypatch.setattr(recorded, size, 12)
    kept = {}
    monkeypatch.setattr(
        recorded.models, "save", lambda name, state, result: kept.update({name: (state, result)})
    )
    return kept


def test_all_plates_are_written_and_all_operations_work(small_records):
    written = recorded.generated(0, "full")
    assert written == {"generated_plates": 12, "labels_in_pixels_share": 1.0}
    found = recorded.augmented(0, "full")
    assert found["effective_operations_share"] == 1.0
    assert found["least_visible_change"] >= recorded.VISIBLE
    assert found["noise_on_white"] > 1


def test_both_readers_are_measured_and_those_of_seed_0_are_kept(small_records):
    handed = recorded.recognised(0, "full")
    assert all(0 <= value <= 1 for value in handed["metrics"].values())
    assert {"plate_accuracy", "ctc_plate_accuracy_beyond", "calibration_error"} <= set(
        handed["metrics"]
    )
    assert sum(name.endswith("_alone") for name in handed["metrics"]) == len(augment.CHANGES)
    assert len(handed["history"]) == 1
    assert set(small_records) == {"plate_reader", "plate_line_reader"}
    assert {result for _, result in small_records.values()} == {"plate-recogniser"}
    small_records.clear()
    recorded.recognised(1, "full")
    assert not small_records


def test_a_recorded_reader_is_trained_once(small_records, monkeypatch):
    first, history = recorded.trained("place", 3)
    monkeypatch.setattr(training, "train", None)
    again, same = recorded.trained("place", 3)
    assert same.rows == history.rows
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert [path.name for path in recorded.RUNS.iterdir()] == ["place-3.pt"]


def test_predictions_come_from_files_and_stored_weights(small_records):
    assert 0 <= recorded.predicted(0, "full")["held_out_plate_accuracy"] <= 1


def test_a_list_with_another_form_is_refused(tmp_path: Path):
    table = sets.write(tmp_path / "out", 1, 0, Alphabet())
    table.write_text("file,text\n000000.png,HELLO\n")
    with pytest.raises(ValueError, match="is not in the alphabet"):
        list(recorded.listed(table))


def test_plates_drawn_and_read_are_counted_in_time():
    found = plates_speed.measure(count=8, rounds=2, cores=1)
    assert set(found) == {"drawn", "distorted", "read"}
    for row in found.values():
        assert 0 < row["low"] <= row["per_second"] <= row["high"]
    assert len(plates_speed.drawn(range(3), 0.0)) == 3


# --- scenes --------------------------------------------------------------------------------------


def test_a_scene_holds_its_plate_where_it_says():
    for index in range(4):
        found = scenes.scene(Alphabet(), 2, index, strength=0.0)
        x1, y1, x2, y2 = found.box.astype(int)
        assert 0 <= x1 < x2 <= scenes.LONG
        assert 0 <= y1 < y2 <= scenes.TALL
        size = (x2 - x1, y2 - y1)
        clean = Image.fromarray(drawing.plate(found.text)).resize(size, Image.Resampling.BOX)
        np.testing.assert_array_equal(found.image[y1:y2, x1:x2], np.asarray(clean))


def perfect_maps(boxes: torch.Tensor) -> torch.Tensor:
    """What a faultless detector says: each cell knows the box, those at its middle are sure."""
    x, y = scenes.middles()
    edges = boxes[:, :, None, None]
    distances = [x - edges[:, 0], y - edges[:, 1], edges[:, 2] - x, edges[:, 3] - y]
    centre = (edges[:, 0] + edges[:, 2]) / 2, (edges[:, 1] + edges[:, 3]) / 2
    inside = ((x - centre[0]).abs() < 8) & ((y - centre[1]).abs() < 6)
    return torch.stack([20.0 * inside - 10, *distances], dim=1)


def test_a_detector_without_faults_has_no_loss_finds_each_plate_and_cuts_it_out():
    images, boxes, _ = scenes.scenes(Alphabet(), 3, 5)
    maps = perfect_maps(boxes)
    assert scenes.detector_loss(maps, boxes) < 1e-3
    found = scenes.detected(maps)
    assert [len(one.boxes) for one in found] == [1] * 5
    np.testing.assert_allclose(np.concatenate([one.boxes for one in found]), boxes, atol=1e-4)
    assert average_precision(found, list(boxes[:, None])) == 1
    assert scenes.cut_out(images[0], found[0].boxes[0]).shape == (3, 30, 140)
    assert scenes.cut_out(images[0], np.array([-50.0, -50, -40, -40])).shape == (3, 30, 140)


def test_a_detector_learns():
    images, boxes, _ = scenes.scenes(Alphabet(), 1, 8)
    detector = scenes.Detector(torch.Generator().manual_seed(0), width=16)
    optimizer = torch.optim.Adam(detector.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = scenes.detector_loss(detector(images), boxes)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_what_was_found_is_read_and_where_nothing_was_the_text_is_empty():
    reader, plan = commands.load(None)
    images, boxes, texts = scenes.scenes(Alphabet(), 6, 3)
    found = [scenes.Found(box[None].double().numpy(), np.ones(1)) for box in boxes]
    found[1] = scenes.Found(np.zeros((0, 4)), np.zeros(0))
    assert finding.read_found(reader, plan, images, found) == [texts[0], "", texts[2]]
    assert finding.read_found(reader, plan, images[:1], found[1:2]) == [""]


def test_a_detector_is_trained_by_its_seed_and_scored_beside_true_boxes():
    search = finding.Search(scenes=6, epochs=1, batch=3, width=8)
    detectors = [finding.train_detector(search, seed, Alphabet()) for seed in (0, 0, 1)]
    weights = [one.body[0][0].weight for one in detectors]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    reader, plan = commands.load(None)
    young, perfect = finding.score(detectors[0], reader, plan, seed=0, count=4)
    assert perfect == (1, 1, 1, 1)
    assert 0 <= young.strict_average_precision <= young.average_precision < 1


# --- command lines -------------------------------------------------------------------------------


SCRIPTS = (
    *("Plate_Generator/generator.py", "Plate_Generator/augmenter.py"),
    *("CNN_model/train.py", "CNN_model/test.py"),
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_command_runs_from_any_folder_and_explains_itself(script: str, tmp_path: Path):
    path = ROOT / "OptimisationNN" / script
    run = subprocess.run(
        [sys.executable, str(path), "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert f"usage: {path.name}" in run.stdout


def test_plates_are_written_a_reader_trained_and_a_plate_read(tmp_path: Path, capsys):
    out, file = tmp_path / "plates", tmp_path / "reader.pt"
    asked = ["--count", "2", "--out", str(out), "--strength", "0"]
    assert commands.run(commands.generate, asked) == 0
    small = ["--epochs", "1", "--steps", "1", "--kind", "line", "--out", str(file)]
    assert commands.run(commands.train, small) == 0
    assert not file.with_suffix(".part").exists()
    images = [str(out / f"00000{i}.png") for i in (0, 1)]
    assert commands.run(commands.read, ["--model", str(file), "--image", *images]) == 0
    assert "000001.png  " in capsys.readouterr().out


def test_a_contact_sheet_has_one_row_a_change(tmp_path: Path):
    assert commands.run(commands.augment, ["--out", str(tmp_path / "sheet.png")]) == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (5 * 140, len(augment.CHANGES) * 30)


def test_wrong_requests_are_one_sentence_and_status_2(tmp_path: Path, capsys):
    wrong = tmp_path / "wrong.pt"
    torch.save({"x": 1}, wrong)
    image = tmp_path / "a.png"
    Image.new("RGB", (140, 30)).save(image)
    for command, arguments, why in (
        (commands.generate, ["--out", str(tmp_path)], "is not empty"),
        (commands.augment, ["--text", "HELLO", "--out", "x.png"], "is not in the alphabet"),
        (commands.read, ["--image", str(wrong)], "is no image"),
        (commands.read, ["--image", str(image), "--model", str(wrong)], "no reader"),
        (commands.read, ["--image", str(image), "--model", str(image)], "no complete checkpoint"),
    ):
        assert commands.run(command, arguments) == 2
        assert why in capsys.readouterr().err
