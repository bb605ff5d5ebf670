"""Which dense CRF a command means: a published one, or the one that a model folder holds."""

import dataclasses
import logging
from collections.abc import Mapping
from typing import get_args

import numpy as np

from atrous.crf import Appearance, DenseCRF, Smoothness
from atrous.errors import InputError
from atrous.inference.config import CRFChoice
from atrous.models.segmentation_model import SegmentationModel

__all__ = ["crf_from_json", "crf_to_json", "open_crf", "stamp"]

logger = logging.getLogger(__name__)


def open_crf(choice: CRFChoice, model: SegmentationModel) -> DenseCRF:
    """Return the CRF that `--crf` names.

    Raises:
        InputError: The model holds none, or what it holds is damaged.
    """
    if choice != "stored":
        return DenseCRF.published(choice)
    if model.crf is None:
        names = ", ".join(name for name in get_args(CRFChoice) if name != "stored")
        raise InputError(
            "the model holds no CRF parameters; find them with: atrous crf-search MODEL --data D, "
            f"or name published ones: --crf {names}"
        )
    if model.crf.get("helps") is False:
        logger.warning(
            "the search that found these CRF parameters advises not to use them: no gain there"
        )
    parameters = model.crf.get("parameters")
    return crf_from_json(parameters if isinstance(parameters, Mapping) else {})


def crf_to_json(crf: DenseCRF) -> dict[str, object]:
    """Return every parameter as plain JSON values."""
    content = dataclasses.asdict(crf)
    if not isinstance(crf.compatibility, str):
        content["compatibility"] = np.asarray(crf.compatibility).tolist()
    return {key: _plain(value) for key, value in content.items()}


def crf_from_json(content: Mapping[str, object]) -> DenseCRF:
    """Rebuild what `crf_to_json` gave; whoever edited it is told what no longer fits.

    Raises:
        InputError: A field is missing, unknown or of another kind.
    """
    names = {field.name for field in dataclasses.fields(DenseCRF)}
    if set(content) != names:
        odd = ", ".join(sorted(set(content) ^ names))
        raise InputError(
            f"the stored CRF parameters miss or do not know {odd}; search again with: "
            "atrous crf-search MODEL --data D"
        )
    kernels = {
        "appearance": _kernel(Appearance, content["appearance"]),
        "smoothness": _kernel(Smoothness, content["smoothness"]),
    }
    rest = {key: value for key, value in content.items() if key not in kernels}
    try:
        return DenseCRF(**kernels, **rest)  # type: ignore[arg-type]  # judged by the class
    except TypeError as error:
        raise _damaged(error) from error


def stamp(crf: object) -> object:
    """Return what tells one CRF from another in a protocol: parameters, or a callable's name."""
    if crf is None:
        return None
    if isinstance(crf, DenseCRF):
        return crf_to_json(crf)
    return getattr(crf, "__name__", type(crf).__name__)


def _kernel(
    kind: type[Appearance] | type[Smoothness], content: object
) -> Appearance | Smoothness | None:
    if content is None:
        return None
    try:
        assert isinstance(content, Mapping)
        stds = {"feature_stds": tuple(content["feature_stds"])} if kind is Appearance else {}
        return kind(**{**content, **stds})
    except (AssertionError, KeyError, TypeError) as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> InputError:
    return InputError(
        f"the stored CRF parameters are damaged ({error!r}); search again with: "
        "atrous crf-search MODEL --data D"
    )


def _plain(value: object) -> object:
    """Turn tuples into lists, as they come back from a file."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
