"""The application's server: right answers, one sentence for anything else, and never a crash."""

import base64
import io
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, settings

from app import recorded, torch_side, tracing
from app.server import LARGEST_BODY, Settings, create, security_headers
from app.shelf import NumpyReader, Shelf
from utils import models
from utils.datasets import mnist
from utils.paths import ROOT

DIGITS = mnist()
NUMPY_ONLY = create(Settings(numpy_only=True))


@pytest.fixture(scope="module")
def client():
    with TestClient(NUMPY_ONLY, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def whole():
    """With PyTorch's networks too."""
    with TestClient(create(Settings()), raise_server_exceptions=False) as client:
        yield client


ALL_THREE = ["digit_mlp", "small_digit_cnn", "digit_cnn"]


def drawing_of(row: int) -> dict:
    return recorded.as_json(tracing.traced(DIGITS.test.images[row]))


def test_the_digit_readers_read_and_show_what_they_saw(whole):
    question = {"drawing": drawing_of(0), "detail": True, "models": ALL_THREE}
    answer = whole.post("/api/digit", json=question).json()
    label = DIGITS.test.labels[0]
    assert [int(np.argmax(one["probabilities"])) for one in answer["answers"]] == [label] * 3
    assert len(bytes_of(answer["pixels"])) == 28 * 28
    for one in answer["answers"]:
        assert sum(one["probabilities"]) == pytest.approx(1, abs=1e-4)
        detail = one["detail"]
        assert len(bytes_of(detail["saliency"])) == 28 * 28
        sizes = {len(bytes_of(one)) for one in detail["activations"]}
        assert sizes == {detail["height"] * detail["width"]}


def bytes_of(packed: str) -> bytes:
    return base64.b64decode(packed)


def test_saliency_is_the_slope_of_the_largest_logit():
    reader, rng = NumpyReader("digit_mlp"), np.random.default_rng(0)
    x = rng.random((1, 1, 28, 28), dtype=np.float32)
    top = reader.logits(x)[0].argmax()
    _, slope = reader.insight(x)
    step = np.zeros_like(x)
    step[0, 0, 14, 14] = 0.01
    change = (reader.logits(x + step) - reader.logits(x - step))[0, top] / 0.02
    assert slope[14, 14] == pytest.approx(change, rel=0.02, abs=1e-3)


def test_pytorch_is_loaded_in_the_background_while_numpy_answers():
    with TestClient(create(Settings())) as fresh:
        question = {"drawing": drawing_of(0)}
        first = fresh.post("/api/digit", json=question).json()
        assert [one["model"] for one in first["answers"]] == ALL_THREE[:2]
        assert first["loading"] == ["digit_cnn"]
        for _ in range(200):
            later = fresh.post("/api/digit", json=question).json()
            if not later["loading"]:
                break
            time.sleep(0.1)
        assert [one["model"] for one in later["answers"]] == ALL_THREE


def test_numpy_answers_do_not_wait_for_pytorch(monkeypatch):
    opened, loaded = threading.Event(), threading.Event()

    class Slow:
        def __init__(self):
            opened.wait(20)
            loaded.set()

    monkeypatch.setitem(torch_side.READERS, "digit_cnn", Slow)
    shelf = Shelf()
    assert not shelf.awake("digit_cnn")
    time.sleep(0.2)  # the thread now holds the shelf's lock
    shelf.reader("digit_mlp").logits(np.zeros((1, 1, 28, 28), np.float32))
    assert not loaded.is_set()
    opened.set()


STARTED = """
import re, sys
from pathlib import Path
from app.server import create
from app.shelf import Shelf
create()
assert Shelf().awake("digit_mlp")
status = Path("/proc/self/status").read_text()
print("torch" in sys.modules, re.search(r"VmHWM:\\s+(\\d+)", status)[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_numpy_networks_need_neither_torch_nor_much_memory():
    run = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    torch_is_there, kilobytes = run.stdout.split()
    assert torch_is_there == "False"
    assert int(kilobytes) < 150_000


def test_a_number_of_two_digits_is_cut_and_read(client):
    rows = [np.flatnonzero(DIGITS.test.labels == digit)[0] for digit in (4, 2)]
    left, right = recorded.beside(*DIGITS.test.images[rows], 20.0)
    answer = client.post("/api/pair", json={"drawing": recorded.as_json(left + right)}).json()
    assert 230 < answer["cut"] < 250
    assert [one["best"][0][0] for one in answer["readings"]] == [42, 42]
    for one in answer["readings"]:
        assert np.argmax(one["left"]) == 4
        assert np.argmax(one["right"]) == 2


def test_a_doodle_is_named_and_an_unfinished_one_guessed(client):
    drawing = drawing_of(1)
    whole = client.post("/api/doodle", json={"drawing": drawing}).json()
    begun = {"strokes": [drawing["strokes"][0][:5]]}
    first = client.post("/api/doodle", json={"drawing": begun}).json()
    assert len(whole["classes"]) == len(whole["probabilities"]) == 10
    assert sum(first["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert first["steps"] < whole["steps"]


def test_the_generator_is_the_one_of_the_lesson(client):
    answer = client.post("/api/generate", json={"seed": 3, "sliders": [1, 0, -1, 2]}).json()
    assert [len(bytes_of(one)) for one in answer["pixels"]] == [784] * 10
    again = client.post("/api/generate", json={"seed": 3, "sliders": [1, 0, -1, 2]}).json()
    assert again["pixels"] == answer["pixels"]
    other = client.post("/api/generate", json={"seed": 4, "sliders": [1, 0, -1, 2]}).json()
    assert other["pixels"] != answer["pixels"]


def test_a_plate_is_drawn_distorted_and_read(whole):
    clean = whole.post("/api/plate", json={"text": "A123BC77"}).json()
    assert clean["read"] == "A123BC77"
    assert clean["right"] is True
    assert clean["clean"] == clean["distorted"]
    assert len(bytes_of(clean["clean"])) == 30 * 140 * 3
    strengths = {"turned": 0.5, "noisy": 0.5}
    worn = whole.post("/api/plate", json={"text": "K070XA199", "strengths": strengths}).json()
    assert worn["clean"] != worn["distorted"]
    assert len(worn["confidence"]) == len(worn["read"])


def test_the_menu_tells_parameters_and_recorded_accuracy(whole):
    cards = {card["name"]: card for card in whole.get("/api/models").json()}
    assert cards["digit_cnn"]["parameters"] == models.index()["digit_cnn"]["parameters"]
    assert cards["digit_cnn"]["accuracy"] > 0.99
    assert cards["digit_mlp"]["milliseconds"] is None or cards["digit_mlp"]["milliseconds"] > 0


def test_a_drawing_becomes_a_training_sample(client):
    answer = client.post("/api/sample", json={"drawing": drawing_of(2), "label": 7})
    with np.load(io.BytesIO(answer.content), allow_pickle=False) as sample:
        assert sample["images"].shape == (1, 28, 28)
        assert sample["images"].dtype == np.uint8
        assert sample["labels"].tolist() == [7]


def test_an_empty_drawing_gets_help_and_no_answer(client):
    empty = {"drawing": {"strokes": []}}
    answer = client.post("/api/digit", json=empty).json()
    assert answer["answers"] == []
    assert answer["help"].startswith("The canvas is empty")
    assert client.post("/api/pair", json=empty).json()["readings"] == []
    assert client.post("/api/doodle", json=empty).json()["steps"] == 0
    refused = client.post("/api/sample", json={**empty, "label": 1})
    assert refused.status_code == 422
    assert "at least 1 item" in refused.json()["detail"]


def test_one_point_is_a_drawing(client):
    one = {"drawing": {"strokes": [[[240, 160, 0]]]}}
    assert "dot" in client.post("/api/digit", json=one).json()["help"]
    assert client.post("/api/pair", json=one).json()["help"] == "Draw two digits side by side."
    assert client.post("/api/doodle", json=one).json()["steps"] == 1


def test_ten_thousand_points_are_read_and_one_more_is_refused(client):
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(0, 480, 10_001), rng.uniform(0, 320, 10_001)])
    stroke = np.column_stack([points, np.arange(10_001)]).round(1).tolist()
    most = client.post("/api/digit", json={"drawing": {"strokes": [stroke[:-1]]}})
    assert most.status_code == 200
    more = client.post("/api/digit", json={"drawing": {"strokes": [stroke]}})
    assert more.status_code == 422
    assert "at most 10,000 points" in more.json()["detail"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 422, "Field required"),
        (b"{", 422, "JSON"),
        (b"[]", 422, "valid"),
        (b'{"drawing": {"strokes": [[[NaN, 1, 0]]]}}', 422, "finite"),
        (b'{"drawing": {"strokes": [[[Infinity, 1, 0]]]}}', 422, "finite"),
        (b'{"drawing": {"strokes": [[[1e400, 1, 0]]]}}', 422, "finite"),
        (b'{"drawing": {"strokes": [[[500, 1, 0]]]}}', 422, "less than or equal to 480"),
        (b'{"drawing": {"strokes": [[["a", 1, 0]]]}}', 422, "number"),
        (b'{"drawing": {"strokes": [[[1, 1]]]}}', 422, "required"),
        (b'{"drawing": {"strokes": [[]]}}', 422, "at least 1 item"),
        (b'{"drawing": {"strokes": [], "file": "/etc/passwd"}}', 422, "not permitted"),
        (b'{"drawing": {"strokes": []}, "models": ["../secret"]}', 404, "there are"),
        (b'{"drawing": {"strokes": []}, "models": ["doodle_gru"]}', 404, "there are"),
        (b"\xff\xfe\x00", 400, "parsing"),
        (b'{"a":' * 3000, 400, "parsing"),
        (b" " * (LARGEST_BODY + 1), 413, "at most 1,000,000 bytes"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(client, content, status, words):
    headers = {"content-type": "application/json"}
    answer = client.post("/api/digit", content=content, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_large_question_is_refused_without_a_length_header(client):
    def pieces():
        for _ in range(30):
            yield b" " * 100_000

    assert client.post("/api/digit", content=pieces()).status_code == 413


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ({"text": "A12"}, 422, "form of a plate"),
        ({"text": "Ж123BC77"}, 422, "not in the alphabet"),
        ({"text": "A123BC77", "strengths": {"melted": 1}}, 422, "there is no change 'melted'"),
        ({"text": "A123BC77", "strengths": {"turned": 2}}, 422, "less than or equal to 1"),
    ],
)
def test_a_wrong_plate_is_one_sentence(whole, question, status, words):
    answer = whole.post("/api/plate", json=question)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_without_pytorch_its_networks_are_simply_not_there(client):
    names = {card["name"] for card in client.get("/api/models").json()}
    assert names.isdisjoint({"digit_cnn", "plate_reader"})
    answer = client.post("/api/plate", json={"text": "A123BC77"})
    assert answer.status_code == 404
    assert "not" in answer.json()["detail"] or "no network" in answer.json()["detail"]


def test_many_at_once_get_the_answers_that_each_gets_alone(client):
    questions = [{"drawing": drawing_of(row), "detail": True} for row in range(24)]

    def probabilities(question):
        answers = client.post("/api/digit", json=question).json()["answers"]
        return [one["probabilities"] for one in answers]

    alone = [probabilities(question) for question in questions]
    with ThreadPoolExecutor(12) as pool:
        together = list(pool.map(probabilities, questions * 4))
    assert together == alone * 4


def test_the_page_is_sent_with_a_strict_policy_and_asks_nobody_else(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert page.headers["x-content-type-options"] == "nosniff"
    for path in ("/", "/docs", "/static/main.js", "/static/style.css"):
        text = client.get(path).text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text


def test_a_page_alone_may_ask_its_interface_and_no_other():
    policy = security_headers("http://127.0.0.1:9000")["content-security-policy"]
    assert "connect-src 'self' http://127.0.0.1:9000;" in policy
    with TestClient(create(Settings(part="web", api_url="http://127.0.0.1:9000"))) as web:
        assert web.get("/settings.json").json() == {"api": "http://127.0.0.1:9000"}
        assert web.get("/api/models").status_code == 404
        assert web.get("/ready").json()["status"] == "ready"


def test_an_interface_alone_has_no_page_and_answers_its_origin():
    app = create(Settings(part="api", origin="http://127.0.0.1:8080", numpy_only=True))
    with TestClient(app) as alone:
        assert alone.get("/").status_code == 404
        theirs = alone.get("/api/models", headers={"origin": "http://127.0.0.1:8080"})
        assert theirs.headers["access-control-allow-origin"] == "http://127.0.0.1:8080"
        others = alone.get("/api/models", headers={"origin": "http://example.org"})
        assert "access-control-allow-origin" not in others.headers


def test_health_and_readiness(client):
    assert client.get("/health").json() == {"status": "alive"}
    assert client.get("/ready").json()["status"] == "ready"
    unready = TestClient(create(Settings(numpy_only=True)))  # its networks were never loaded
    assert unready.get("/health").status_code == 200
    assert unready.get("/ready").status_code == 503


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/x"])
def test_no_file_outside_the_page_is_sent(client, path):
    assert client.get(path).status_code == 404


def test_an_unknown_part_is_one_sentence():
    with pytest.raises(ValueError, match="part is both, api or web"):
        Settings(part="all")


schema = schemathesis.openapi.from_asgi("/openapi.json", NUMPY_ONLY)


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_the_interface_keeps_its_own_description(case, client):
    """Questions made from the description: no 5xx, and every answer of the promised form."""
    case.call_and_validate()


def test_the_description_is_json_and_names_every_lens(client):
    paths = json.loads(client.get("/openapi.json").text)["paths"]
    assert {"/api/digit", "/api/pair", "/api/doodle", "/api/generate", "/api/plate"} <= set(paths)
