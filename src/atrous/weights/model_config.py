"""What `config.json` of a model folder says: enough to rebuild the network and to judge it."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from atrous.errors import InputError
from atrous.labels import LabelSet
from atrous.models import ModelSpec
from atrous.ops import Normalization

__all__ = ["FORMAT", "FORMAT_VERSION", "MAX_CHARACTERS", "ModelConfig"]

T = TypeVar("T")
D = TypeVar("D")

FORMAT = "atrous-model"
FORMAT_VERSION = 1
RETIRED = frozenset({"freeze_norm"})
"""Options of networks that models once stored and that changed nothing in a prediction."""

MAX_CHARACTERS = 2**22
"""A config of 4 million characters is none of ours; it is refused before it is parsed."""


@dataclass(frozen=True)
class ModelConfig:
    """A model without its tensors.

    Attributes:
        spec: Architecture, encoder, channels, classes, options.
        label_set: Names and colours of the K classes.
        normalization: What images go through before they enter the network.
        input_scale: Factor on their size before that.
        crf: What `atrous crf-search` found: parameters and gain; None before a search.
        calibration: What `atrous calibrate` found: temperature and gain; None before it.
        tile: Side of the windows that images are cut into, 0 for none; None: by their size.
        provenance: Where the weights come from: data, command, versions; JSON values.
        metrics: Scores with the split they were measured on; JSON values.
        licence: Terms of the weights, e.g. "Apache-2.0"; None if nobody said.
        fingerprint: Of this text and the tensors it was saved with; "" before saving.
    """

    spec: ModelSpec
    label_set: LabelSet
    normalization: Normalization
    provenance: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, object] = field(default_factory=dict)
    licence: str | None = None
    fingerprint: str = ""
    input_scale: float = 1.0
    crf: Mapping[str, object] | None = None
    tile: int | None = None
    calibration: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        """Check that the parts speak of the same network.

        Raises:
            InputError: Another number of classes or channels than the network has.
        """
        if len(self.label_set) != self.spec.classes:
            raise InputError(
                f"the label set names {len(self.label_set)} classes, but the network has "
                f"{self.spec.classes}; give one name per class"
            )
        if len(self.normalization.mean) != self.spec.in_channels:
            raise InputError(
                f"normalization has figures for {len(self.normalization.mean)} channels, but the "
                f"network takes {self.spec.in_channels}; give one mean and one std per channel"
            )

    def to_json(self) -> str:
        """Return the text of `config.json`.

        NaN in provenance or metrics becomes null.

        Raises:
            TypeError: They hold something that JSON cannot.
        """
        content = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "architecture": self.spec.architecture,
            "encoder_name": self.spec.encoder_name,
            "in_channels": self.spec.in_channels,
            "classes": self.spec.classes,
            "options": dict(self.spec.options),
            "label_set": self.label_set.to_json(),
            "normalization": self.normalization.to_json(),
            "input_scale": self.input_scale,
            "crf": None if self.crf is None else dict(self.crf),
            "calibration": None if self.calibration is None else dict(self.calibration),
            "tile": self.tile,
            "provenance": dict(self.provenance),
            "metrics": dict(self.metrics),
            "licence": self.licence,
            "fingerprint": self.fingerprint,
        }
        return json.dumps(_finite(content), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "ModelConfig":
        """Read what `to_json` wrote; whoever edited it is told what no longer fits.

        Raises:
            InputError: Not JSON, not ours, of a newer format, or a field is missing or wrong.
        """
        content = _parse(text)
        options = _take(content, "options", dict)
        spec = ModelSpec(
            _take(content, "architecture", str),
            _take_or(content, "encoder_name", str, None),
            _take(content, "in_channels", int),
            _take(content, "classes", int),
            {name: value for name, value in options.items() if name not in RETIRED},
        )
        return cls(
            spec,
            _rebuild(LabelSet.from_json, content, "label_set"),
            _rebuild(Normalization.from_json, content, "normalization"),
            _take_or(content, "provenance", dict, {}),
            _take_or(content, "metrics", dict, {}),
            _take_or(content, "licence", str, None),
            _take_or(content, "fingerprint", str, ""),
            _input_scale(content.get("input_scale")),
            _take_or(content, "crf", dict, None),
            _take_or(content, "tile", int, None),
            _take_or(content, "calibration", dict, None),
        )


def _input_scale(value: object) -> float:
    """Return the factor on the images' size; folders from before it had a name have none."""
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.25 <= value <= 4:
        raise InputError(f"input_scale is {value!r:.60}, but a number in 0.25..4 is needed")
    return float(value)


def _finite(value: object) -> object:
    """Return the same JSON value with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parse(text: str) -> dict[str, object]:
    """Return the JSON object if it is a model's, of a format that this version reads."""
    if len(text) > MAX_CHARACTERS:
        raise InputError(
            f"over {MAX_CHARACTERS} characters, which no model needs; replace the file"
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"not readable as JSON ({error}); copy the folder again") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f'no "format": "{FORMAT}" in it; give a folder that atrous saved')
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise InputError(
            f"format version is {version!r}, but this atrous reads {FORMAT_VERSION}; "
            "update with: pip install -U atrous"
        )
    return content


def _take(content: Mapping[str, object], key: str, kind: type[T]) -> T:
    """Return a field of the right type."""
    value = content.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{key} is {value!r:.60}, but {kind.__name__} is needed")
    return value


def _take_or(content: Mapping[str, object], key: str, kind: type[T], default: D) -> T | D:
    """Return a field of the right type, `default` if it is null or missing."""
    return default if content.get(key) is None else _take(content, key, kind)


def _rebuild(build: Callable[[Mapping[str, object]], T], content: object, key: str) -> T:
    """Build a part from its JSON; whatever is wrong inside becomes one line that names it."""
    assert isinstance(content, dict)
    try:
        return build(_take(content, key, dict))
    except InputError:
        raise
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{key} is damaged ({error!r}); copy the folder again") from error
