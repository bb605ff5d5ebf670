"""A training from its configuration to its model folder: one run, or several phases of it."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from atrous.data import DataSpec, open_data
from atrous.evaluation import Evaluation, evaluate
from atrous.inference import Predictor
from atrous.models import SegmentationModel
from atrous.training.adversary_options import AdversaryOptions
from atrous.training.begin import seeded_model
from atrous.training.best import Best, best_so_far
from atrous.training.caching import with_cache
from atrous.training.checkpoints import Progress, read_progress, sweep
from atrous.training.class_weights import class_weights, weights_notes
from atrous.training.config import TrainConfig
from atrous.training.environment import check_data, write_environment
from atrous.training.extension import (
    is_finished,
    refuse_reported,
    tell_early_stop,
    tell_new_length,
    tell_new_micro_batch,
    tell_repeated,
)
from atrous.training.extension_record import record_extension
from atrous.training.heap import keep_freed_memory
from atrous.training.ignored import ignored_notes
from atrous.training.loop import memory_named, train
from atrous.training.norm import check_norms, norm_notes, pick_norm
from atrous.training.phases import begin_phases, earlier_phases, is_done, write_down
from atrous.training.plan import Plan, default_lr
from atrous.training.planning import plan_run
from atrous.training.preflight import pick_device, preflight
from atrous.training.ranks import Ranks, joined
from atrous.training.recipes import runs_of
from atrous.training.run_folder import new_run, read_config, resumable, resumed, write_config
from atrous.training.sound_data import sound
from atrous.training.watch import Reporter, Silent
from atrous.weights import load, weights_origin

__all__ = ["RunResult", "fit"]


@dataclass(frozen=True)
class RunResult:
    """What a run left behind.

    Attributes:
        folder: The run folder.
        model: The folder of the best model in it.
        step: Optimizer steps done.
        evaluation: The best model on the validation split; None if the run was interrupted.
        spec: The data that it was trained on.
        predictor: The best model, ready to predict; None if the run was interrupted.
        is_over: Whether the run has come to its end, also where another process has the score.
    """

    folder: Path
    model: Path
    step: int
    evaluation: Evaluation | None
    spec: DataSpec
    predictor: Predictor | None
    is_over: bool = False


def fit(
    config: TrainConfig, *, spec: DataSpec | None = None, reporter: Reporter | None = None
) -> RunResult:
    """Train as `config` says, or go on with the run that it names.

    Args:
        config: What to do.
        spec: The data, if they have been opened already.
        reporter: Is told of the plan, each step and each validation.

    Raises:
        InputError: The data have faults, an option does not fit them, the run is finished, ...
        KeyboardInterrupt: The second Ctrl-C, or one while the score is taken; its text says how
            to go on.
    """
    reporter = reporter or Silent()
    chosen = preflight(config)
    with joined(pick_device(config.device)) as ranks:
        if not ranks.is_first:
            reporter = Silent()
        if config.resume is None:
            phases, notes = runs_of(config)
            for note in notes:
                reporter.note(note)
            if len(phases) == 1:
                return _fit_one(chosen, spec, reporter, ranks)
            assert config.data is not None
            spec = sound(spec or open_data(config.data), config.skip_bad)
            folder = ranks.of_first(new_run(config) if ranks.is_first else None)
            assert folder is not None
            if ranks.is_first:
                begin_phases(folder, phases)
            ranks.any(False)  # wait for the files
            config = TrainConfig(resume=folder)
        return _fit_phases(config, spec, reporter, ranks)


def _fit_phases(
    config: TrainConfig, spec: DataSpec | None, reporter: Reporter, ranks: Ranks
) -> RunResult:
    """Go on with a run: with those of its phases that are not done, then with itself."""
    assert config.resume is not None
    folder = config.resume
    earlier = earlier_phases(folder)
    if not all(is_done(place) for place in earlier):
        config = write_down(config, earlier, reporter, ranks)
    for number, place in enumerate(earlier, 1):
        if is_done(place):
            continue
        resolved = resumed(TrainConfig(resume=place))
        reporter.note(
            f"Phase    {number} of {len(earlier) + 1}: {resolved.model}, "
            f"{resolved.iterations or 'as long as planned'} iterations, in {place}"
        )
        with resumable(folder):
            result = _fit_one(resolved, spec, reporter, ranks)
        if not result.is_over:
            return dataclasses.replace(result, folder=folder)
        spec = result.spec
    if earlier:
        reporter.note(f"Phase    {len(earlier) + 1} of {len(earlier) + 1}, in {folder}")
    resolved = preflight(config)
    if config.extend:
        tell_repeated(folder, resolved, config.extend, reporter)
    return _fit_one(resolved, spec, reporter, ranks, added=config.extend)


def _fit_one(
    config: TrainConfig,
    spec: DataSpec | None,
    reporter: Reporter,
    ranks: Ranks,
    *,
    added: int | None = None,
) -> RunResult:
    """Train one run to its end, or to Ctrl-C; `added` iterations are in its length already."""
    assert config.data is not None
    spec = sound(spec or open_data(config.data), config.skip_bad)
    device = pick_device(config.device)
    if device == "cpu":
        keep_freed_memory()
    earlier = _earlier(config.resume, spec) if config.resume else None
    done, scores = (earlier.step, earlier.scores) if earlier else (0, ())
    is_over = is_finished(config, earlier)
    if config.resume and is_over:
        refuse_reported(config.resume, config, done)
    best = Best()
    if config.resume and earlier and ranks.is_first:
        best = best_so_far(
            config.resume, spec, tile=config.tile, done=done, device=device, reporter=reporter
        )
    if config.resume and is_over:
        return _scored(config.resume, done, spec, device, reporter, ranks)
    model, weights = _built(config, spec, earlier, reporter)
    model = model.to(device).to(memory_format=torch.channels_last)
    lr = config.lr or default_lr(config.optimizer, model, pretrained=weights is not None)
    fast = with_cache(config, spec, device=device, reporter=reporter, ranks=ranks)
    plan = plan_run(
        config, fast, model, device=device, lr=lr, done=done, reporter=reporter, ranks=ranks
    )
    norm = pick_norm(config.norm, model, together=plan.normalised_together)
    plan = dataclasses.replace(plan, norm=norm)
    check_norms(plan)
    counting = class_weights(config.class_weights, spec.statistics["train"])
    for note in () if earlier else _notes(config, plan, model, spec, counting):
        reporter.note(note)
    folder = config.resume or ranks.of_first(new_run(config) if ranks.is_first else None)
    assert folder is not None  # not made before everything has proved right
    if config.resume:
        tell_new_length(folder, config, plan, scores, reporter)
        tell_new_micro_batch(folder, plan, model, reporter)
    began = _began(config, spec, counting)
    if not earlier:  # null says that there were none, no entry that nobody knows
        began["encoder_weights"] = weights_origin(weights, model.spec.encoder_name)
    config = _resolve(config, plan, folder, model, len(spec.splits["train"]))
    if ranks.is_first:
        _record(folder, config, plan, began, added)
    reporter.plan(plan)
    with resumable(folder), memory_named(plan):
        step, is_over = train(config, plan, fast, model, folder, reporter, best, ranks)
    del fast  # the score takes its memory
    if not is_over:
        return RunResult(folder, folder / "model", step, None, spec, None)
    tell_early_stop(config, step, reporter)
    return _scored(folder, step, spec, device, reporter, ranks)


def _notes(
    config: TrainConfig,
    plan: Plan,
    model: SegmentationModel,
    spec: DataSpec,
    counting: tuple[float, ...] | None,
) -> list[str]:
    """Return what is worth knowing before the first step.

    Raises:
        InputError: The run is too short for the turns of two networks.
    """
    split, names = spec.statistics["train"], spec.label_set.names
    return [
        *norm_notes(config, plan, model),
        *weights_notes(config.class_weights, counting, split, names),
        *ignored_notes(config, plan, model),
        *_turns(config, plan),
    ]


def _began(
    config: TrainConfig, spec: DataSpec, counting: tuple[float, ...] | None
) -> dict[str, object]:
    """Return what the record says of how the run began."""
    began: dict[str, object] = {"data": spec.fingerprint}
    if config.recipe:
        began["recipe"] = config.recipe
    if counting:
        began["class_weights"] = dict(zip(spec.label_set.names, counting, strict=True))
    return began


def _turns(config: TrainConfig, plan: Plan) -> list[str]:
    """Return a line about the turns of two networks, if there are two.

    Raises:
        InputError: The run is too short for them.
    """
    if config.adversary == "none":
        return []
    options = AdversaryOptions.of(config.adversary_options)
    options.check_length(plan.iterations)
    return [options.note(config.adversary)]


def _built(
    config: TrainConfig, spec: DataSpec, earlier: Progress | None, reporter: Reporter
) -> tuple[SegmentationModel, str | None]:
    """Return the network and what filled it; a checkpoint will fill that of an earlier session."""
    if not earlier:
        return seeded_model(config, spec, reporter)
    # nothing to fetch, wherever the weights came from
    model, weights = seeded_model(dataclasses.replace(config, weights="none"), spec, reporter)
    model.normalization = earlier.normalization
    return model, weights


def _record(
    folder: Path,
    config: TrainConfig,
    plan: Plan,
    began: Mapping[str, object],
    added: int | None,
) -> None:
    """Write down what the run does, and where."""
    if added and read_config(folder).iterations != plan.iterations:
        record_extension(folder, by=added, to=plan.iterations, at=plan.done)
    write_config(folder, config)
    write_environment(
        folder,
        done=plan.done,
        device=plan.device,
        precision=plan.precision,
        began=began,
        processes=plan.processes,
    )


def _scored(
    folder: Path, step: int, spec: DataSpec, device: str, reporter: Reporter, ranks: Ranks
) -> RunResult:
    """Score the best model as it lies on the disk; that is all that a finished run may lack."""
    if not ranks.is_first:
        return RunResult(folder, folder / "model", step, None, spec, None, is_over=True)
    with resumable(folder):
        predictor = Predictor(load(folder / "model"), device=device)
        evaluation = evaluate(predictor, spec, "val", progress=reporter.scoring)
    return RunResult(folder, folder / "model", step, evaluation, spec, predictor, is_over=True)


def _earlier(folder: Path, spec: DataSpec) -> Progress | None:
    """Return how far the run to go on with has come, once its data have proved to be the same."""
    check_data(folder, spec.fingerprint)
    sweep(folder / "last.ckpt")
    return read_progress(folder / "last.ckpt")


def _resolve(
    config: TrainConfig, plan: Plan, folder: Path, model: SegmentationModel, images: int
) -> TrainConfig:
    """Return `config` with every choice that was left to us filled in."""
    frozen = config.freeze_encoder
    if config.freeze_epochs is not None:
        frozen = -(-config.freeze_epochs * images // config.batch_size)
    return dataclasses.replace(
        config,
        recipe=None,  # all of it stands here; environment.json has its name
        freeze_encoder=frozen,
        freeze_epochs=None,
        norm=plan.norm,
        options={k: v for k, v in model.spec.options.items() if v is not None},
        adversary_options=_opposed(config),
        input_scale=model.input_scale,
        out=folder,
        iterations=plan.iterations,
        epochs=None,
        minutes=None,
        val_every=plan.val_every,
        micro_batch=plan.micro_batch,
        crop=plan.crop,
        precision="bf16-mixed" if plan.precision == "bf16-mixed" else "fp32",
        lr=plan.lr,
        weight_decay=config.decay,
        workers=plan.workers,
        cache=plan.cache,
    )


def _opposed(config: TrainConfig) -> dict[str, str | int | float | bool]:
    """Return all that there is to say about adversarial training, defaults included."""
    if config.adversary == "none":
        return {}
    return dataclasses.asdict(AdversaryOptions.of(config.adversary_options))
