"""What a model weighs: parameters, multiply-adds, bytes on the disk, memory of a prediction."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from atrous.compare.apart import Tell
from atrous.compare.config import CompareConfig
from atrous.compare.scoring import predictor_of
from atrous.data import open_data
from atrous.evaluation.loop import pairs_of, pixels_of
from atrous.explain import layers
from atrous.models import SegmentationModel
from atrous.training.memory import read_peak, start_peak
from atrous.training.preflight import pick_device
from atrous.weights import load

__all__ = ["Weight", "weigh"]


@dataclass(frozen=True)
class Weight:
    """What one model takes.

    Attributes:
        parameters: Learnable weights.
        multiply_adds: Of one image of `size`; None where they cannot be counted.
        size: Height and width of the commonest image of the split, as the network sees it.
        model_bytes: Of its file.
        memory_bytes: Peak of one prediction of such an image above what the process held before
            the model was loaded: weights, maps, and the libraries' working space.
    """

    parameters: int
    multiply_adds: int | None
    size: tuple[int, int]
    model_bytes: int
    memory_bytes: int

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> "Weight":
        """Rebuild what `to_json` gave; raises TypeError where a field is missing or unknown."""
        size = content["size"]
        if not isinstance(size, list):
            raise TypeError("size is no list")
        return cls(**{**content, "size": (size[0], size[1])})  # type: ignore[arg-type]  # our own file, written whole


def weigh(config: CompareConfig, model: Path, tell: Tell) -> Weight:
    """Weigh the model in a folder; in a process of its own, or the memory says nothing."""
    tell("weighing", 0.0)
    spec = open_data(config.data)
    device = pick_device(config.device)
    sizes = spec.statistics[config.split].sizes
    commonest = max(sizes, key=lambda size: sizes[size])
    pair = next(
        pair
        for pair in pairs_of(spec, config.split)
        if spec.read_image(pair).shape[:2] == commonest
    )
    before = start_peak(device)
    predictor = predictor_of(load(model), config)
    predictor(pixels_of(predictor, spec, pair))
    peak = read_peak(device)
    network = predictor.model
    size = tuple(max(1, round(side * network.input_scale)) for side in commonest)
    return Weight(
        parameters=sum(p.numel() for p in network.parameters()),
        multiply_adds=_multiply_adds(network, (size[0], size[1])),
        size=(size[0], size[1]),
        model_bytes=sum(file.stat().st_size for file in model.glob("*.safetensors")),
        memory_bytes=max(0, peak - before),
    )


def _multiply_adds(network: SegmentationModel, size: tuple[int, int]) -> int | None:
    """Count them on the meta device, where nothing is computed."""
    images = torch.empty(1, len(network.normalization.mean), *size, device="meta")
    try:
        rows = layers(network.to("meta"), images)
    except (NotImplementedError, RuntimeError):  # an operation without a rule for shapes
        return None
    return sum(row.flops for row in rows) // 2
