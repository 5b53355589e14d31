"""A borrowed network and a few photographs: features, and a new head on them.

``python -m utils.transfer SOURCE`` learns from the full set of 14,630 animal faces and is tested
on 1,500 others; SOURCE is a folder, a zip file or, left out, the official address.
"""

import argparse
import sys

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from utils import data, photos
from utils.backbones import Backbone, mobilenet
from utils.metrics import accuracy, share_interval


@torch.no_grad()
def photo_features(
    model: Backbone, folder: photos.Folder, size: int, batch: int = 10
) -> NDArray[np.float32]:
    """What a head would read of each photograph, (N, F): the mean over it and its mirror image.

    Photographs are read ``batch`` at a time, as squares of ``size`` pixels.
    """
    model.eval()
    found = []
    places = range(0, len(folder), batch)
    for start in tqdm(places, desc="photographs", disable=not sys.stderr.isatty()):
        some = folder.take(range(start, min(start + batch, len(folder))))
        images = torch.from_numpy(photos.squares(some, size)).permute(0, 3, 1, 2) / 255
        found.append((model.features(images) + model.features(images.flip(3))) / 2)
    return torch.cat(found).numpy()


def logistic_head(strength: float = 1.0) -> Pipeline:
    """A head without a network: features brought to one scale, and a softmax regression."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def chosen_head(
    features: NDArray, labels: NDArray, strengths: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1)
) -> GridSearchCV:
    """``logistic_head``, its strength chosen by 5-fold cross-validation and fitted to all rows."""
    grid = {"logisticregression__C": strengths}
    return GridSearchCV(logistic_head(), grid, cv=5).fit(features, labels)


def main(arguments: list[str] | None = None, **how: object) -> int:
    """Learn the animal faces from frozen features, print the accuracy on the test faces."""
    parser = argparse.ArgumentParser(prog="python -m utils.transfer", description=__doc__)
    parser.add_argument("source", nargs="?", default=photos.FACES_URL, help="folder or zip file")
    parser.add_argument("--size", type=int, default=160, help="pixels a side (default 160)")
    options = parser.parse_args(arguments)
    try:
        faces = photos.all_animal_faces(options.source, **how)
    except (data.Unavailable, data.DataError) as reason:
        print(reason)
        return 1
    model = mobilenet()
    parts = {part: getattr(faces, part) for part in ("train", "test")}
    features = {part: photo_features(model, folder, options.size) for part, folder in parts.items()}
    head = chosen_head(features["train"], faces.train.labels)
    answers = head.predict(features["test"])
    low, high = share_interval(int((answers == faces.test.labels).sum()), len(faces.test))
    print(f"{len(faces.train):,} faces learned, {len(faces.test):,} tested")
    print(f"test accuracy {accuracy(answers, faces.test.labels):.4f} ({low:.4f} to {high:.4f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
