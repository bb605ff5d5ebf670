"""What `atrous evaluate` does: score a model or a folder of masks."""

import logging
from collections.abc import Callable

from atrous.data import DataSpec
from atrous.evaluation.config import EvaluateConfig
from atrous.evaluation.evaluation import Evaluation
from atrous.evaluation.image_table import write_image_table
from atrous.evaluation.loop import accumulate, pairs_of, subject_of
from atrous.evaluation.predictions import stored_masks
from atrous.evaluation.protocols import PROTOCOLS, with_protocol
from atrous.evaluation.subject import Subject
from atrous.files import write_json

__all__ = ["evaluate_config", "open_subject"]


def evaluate_config(
    config: EvaluateConfig,
    spec: DataSpec,
    *,
    subject: Subject | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score what `config` names, in every way; write the files that it names.

    Args:
        config: The command's configuration.
        spec: What `open_data` made of `config.data`.
        subject: What `open_subject` made of both, if it is open already.
        progress: Told at the start and after each image.

    Raises:
        InputError: Split, classes, model or masks that cannot be used.
    """
    result = accumulate(
        subject or open_subject(config, spec),
        spec,
        config.split,
        details=True,
        excluded=config.exclude,
        progress=progress,
    )
    if config.out is not None:
        write_json(config.out, result.to_json())
    if config.images_table is not None:
        write_image_table(config.images_table, result)
    return result


def open_subject(
    config: EvaluateConfig,
    spec: DataSpec,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Subject:
    """Return the model or the folder of masks that `config` names.

    Args:
        config: The command's configuration.
        spec: What `open_data` made of `config.data`.
        progress: Told as masks are checked; a model has none.

    Raises:
        InputError: Split, model or masks that cannot be used.
    """
    pairs_of(spec, config.split)  # a misspelt split is told before torch is loaded
    if config.predictions is not None:
        return stored_masks(config.predictions, spec, config.split, progress=progress)
    from atrous.inference import open_predictor
    from atrous.inference.white import white_doubt

    assert config.model is not None
    predictor = open_predictor(config.model, with_protocol(config))
    if doubt := white_doubt(predictor.model.normalization, spec.white):
        logging.getLogger(__name__).warning(doubt)
    subject = subject_of(predictor, spec, config.split, confidence=True)
    stamp = {"model": config.model, **_paper(config)}
    return Subject(subject.predict, subject.label_set, {**stamp, **subject.protocol})


def _paper(config: EvaluateConfig) -> dict[str, object]:
    if config.protocol is None:
        return {}
    chosen = PROTOCOLS[config.protocol]
    return {
        "protocol": config.protocol,
        "protocol_source": chosen.source,
        "protocol_departures": chosen.departures,
    }
