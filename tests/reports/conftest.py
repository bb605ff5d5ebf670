"""A run folder, data and a predictor small enough to be checked by hand, and the page they give."""

import base64
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from atrous.data import Pair, SplitStatistics
from atrous.evaluation import Evaluation, evaluate
from atrous.labels import VOID, LabelSet
from atrous.reports import write_training_report


class FakeSpec:
    """Data in memory, with the attributes of a `DataSpec` that a report reads."""

    def __init__(
        self,
        label_set: LabelSet,
        images: Sequence[np.ndarray],
        labels: Sequence[np.ndarray],
        *,
        names: Sequence[str] | None = None,
        train_labels: Sequence[np.ndarray] | None = None,
        findings: tuple[object, ...] = (),
    ) -> None:
        names = names or [f"{index:03d}.png" for index in range(len(images))]
        pairs = tuple(Pair(Path("val/images") / n, Path("val/masks") / n) for n in names)
        self.root = Path("data")
        self.label_set = label_set
        self.splits = {"train": (), "val": pairs}
        self.findings = findings
        self.fingerprint = "0123456789abcdef"
        self.channels = images[0].shape[2]
        self.images = dict(zip(pairs, images, strict=True))
        self.labels = dict(zip(pairs, labels, strict=True))
        self.statistics = {
            "train": count_classes(labels if train_labels is None else train_labels, label_set),
            "val": count_classes(labels, label_set),
        }

    def read_image(self, pair: Pair) -> np.ndarray:
        return self.images[pair]

    def read_labels(self, pair: Pair) -> np.ndarray:
        return self.labels[pair]


class FakePredictor:
    """Answers each image of a `FakeSpec` with labels that were made for it."""

    temperature = 1.0

    def __init__(self, spec: FakeSpec, predictions: Sequence[np.ndarray]) -> None:
        images = [image.tobytes() for image in spec.images.values()]
        self.answers = dict(zip(images, predictions, strict=True))
        self.channels = spec.channels
        self.model = SimpleNamespace(
            label_set=spec.label_set,
            align_corners=False,
            spec=SimpleNamespace(architecture="unet", encoder_name="resnet18"),
            parameters=lambda: [SimpleNamespace(numel=lambda: 1_400_000)],
        )

    def __call__(self, image: np.ndarray) -> SimpleNamespace:
        return SimpleNamespace(labels=self.answers[image.tobytes()])

    def protocol(self) -> dict[str, object]:
        return {"engine": "eager", "precision": "fp32", "scales": [1.0], "tile": None}


def count_classes(labels: Sequence[np.ndarray], label_set: LabelSet) -> SplitStatistics:
    classes = range(len(label_set))
    return SplitStatistics(
        images=len(labels),
        pixels=tuple(sum(int((x == k).sum()) for x in labels) for k in classes),
        void=sum(int((x == label_set.ignore_index).sum()) for x in labels),
        images_with=tuple(sum(bool((x == k).any()) for x in labels) for k in classes),
        area_with=tuple(sum(x.size for x in labels if (x == k).any()) for k in classes),
        sizes={x.shape: 1 for x in labels},
    )


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def all(self, tag: str, **wanted: str) -> list["Element"]:
        """Every element below of this tag whose attributes contain these words."""
        found = [child for child in self.children if child.matches(tag, wanted)]
        return found + [match for child in self.children for match in child.all(tag, **wanted)]

    def one(self, tag: str, **wanted: str) -> "Element":
        found = self.all(tag, **wanted)
        assert len(found) == 1, f"{len(found)} elements <{tag} {wanted}>"
        return found[0]

    def matches(self, tag: str, wanted: Mapping[str, str]) -> bool:
        return tag in ("*", self.tag) and all(
            value in self.attributes.get(name.strip("_"), "").split()
            for name, value in wanted.items()
        )

    @property
    def words(self) -> str:
        """All text below, narrow and no-break spaces as plain ones."""
        return " ".join(self.text.replace("\u202f", " ").replace("\xa0", " ").split())


class PageParser(HTMLParser):
    """A tree of elements; standard library only, so it shares nothing with the template."""

    EMPTY = ("meta", "link", "img", "br", "hr", "input")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("page", {})
        self.open = [self.root]
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(element)
        if tag not in self.EMPTY:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open[-1].children.append(Element(tag, {n: v or "" for n, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


@dataclass
class Written:
    """A written report with everything that it was made from."""

    path: Path
    html: str
    page: Element
    evaluation: Evaluation
    spec: FakeSpec
    truth: np.ndarray
    predicted: np.ndarray

    def pictures(self, kind: str) -> list[Image.Image]:
        images = self.page.all("img", class_=kind)
        return [decode(image.attributes["src"]) for image in images]


def decode(uri: str) -> Image.Image:
    head, content = uri.split(",", 1)
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(content)))


def blobs(rng: np.random.Generator, num_classes: int, size: tuple[int, int] = (24, 36)):
    """Labels of blocks with a border of void, and a photo that depends on them."""
    block = rng.integers(0, num_classes, (size[0] // 4, size[1] // 4)).astype(np.uint8)
    labels = np.kron(block, np.ones((4, 4), np.uint8))
    labels[0] = VOID
    image = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    return image, labels


def spoil(rng: np.random.Generator, labels: np.ndarray, num_classes: int, share: float):
    """The labels with a share of the pixels replaced; void is predicted as something."""
    other = rng.integers(0, num_classes, labels.shape).astype(np.uint8)
    return np.where((rng.random(labels.shape) < share) | (labels == VOID), other, labels)


def write_run(
    folder: Path, *, val: bool = True, classes: int = 3, steps: int = 100, tile: int | None = None
) -> None:
    """A run folder as `fit` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[dict[str, object]] = []
    for step in range(10, steps + 1, 10):
        figures = {"loss": 2 - step / steps, "lr": 0.02 * (1 - step / steps), "img_per_s": 40.0}
        lines.append({"step": step, "split": "train", **figures, "seconds": 0.4})
        if val and step % 20 == 0:
            iou = [0.8 * step / steps] * (classes - 1) + [None]
            score = {"mean_iou": 0.8 * step / steps, "pixel_accuracy": 0.9, "iou": iou}
            lines.append({"step": step, "split": "val", **score, "loss": None, "seconds": 3.0})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = {"data": "my data", "model": "unet", "crop": [64, 64], "minutes": None, "tile": tile}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    environment = {"python": "3.11.9", "versions": {"torch": "2.15.0"}, "cores": 2}
    (folder / "environment.json").write_text(json.dumps(environment))


@pytest.fixture
def report(tmp_path: Path) -> Callable[..., Written]:
    """Write a report for given or made data and read it back."""

    def write(
        label_set: LabelSet | None = None,
        *,
        num_images: int = 8,
        share: float = 0.2,
        used: int | None = None,
        predictions: Sequence[np.ndarray] | None = None,
        spec: FakeSpec | None = None,
        run: Mapping[str, object] | None = None,
    ) -> Written:
        rng = np.random.default_rng(0)
        label_set = label_set or (spec.label_set if spec else LabelSet(("sky", "road", "car")))
        count = len(label_set)
        if spec is None:
            made = [blobs(rng, used or count) for _ in range(num_images)]
            spec = FakeSpec(label_set, [x for x, _ in made], [y for _, y in made])
        labels = list(spec.labels.values())
        if predictions is None:
            predictions = [spoil(rng, x, used or count, share) for x in labels]
        folder = tmp_path / "runs" / "demo"
        write_run(folder, classes=count, **(run or {}))
        predictor = FakePredictor(spec, predictions)
        evaluation = evaluate(predictor, spec)
        path = write_training_report(folder, evaluation=evaluation, spec=spec, predictor=predictor)
        html = path.read_text(encoding="utf-8")
        scored = [x != VOID for x in labels]
        return Written(
            path,
            html,
            PageParser(html).root,
            evaluation,
            spec,
            np.concatenate([x[s] for x, s in zip(labels, scored, strict=True)]),
            np.concatenate([x[s] for x, s in zip(predictions, scored, strict=True)]),
        )

    return write


@pytest.fixture
def data() -> SimpleNamespace:
    """The makers of small data, for tests that need more than the usual."""
    return SimpleNamespace(
        FakeSpec=FakeSpec,
        PageParser=PageParser,
        blobs=blobs,
        decode=decode,
        spoil=spoil,
        write_run=write_run,
    )
