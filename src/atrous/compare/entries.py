"""What is compared: each entry of `--models` as a network to train, or as a model that is there."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atrous.compare.config import CompareConfig
from atrous.errors import InputError, listed, unknown
from atrous.models import MODELS, default_encoder
from atrous.training import TrainConfig
from atrous.weights import check_model, read_model_config
from atrous.weights.sources import SHIPPED, find_model

__all__ = ["HASH", "Entry", "check_finished", "entries_of", "training_config"]

SAME_FOR_ALL = (
    *("data", "batch_size", "val_every", "crop", "input_scale", "class_weights", "optimizer"),
    *("precision", "device", "workers", "skip_bad"),
)
"""Options that every training is told alike."""

HASH = r"[0-9a-f]{32}"
"""What `DataSpec.fingerprint` looks like; a model that ships tells its data in words."""


@dataclass(frozen=True)
class Entry:
    """One row of the comparison.

    Attributes:
        name: What the row is called: as short as tells it from the others.
        network: A name of `MODELS`, or "" for a finished model.
        encoder: Its encoder; None is the paper's own.
        model: Folder of a finished model; None if it is to be trained.
        full_name: With its encoder, or the folder; whatever it is compared with, it stays.
    """

    name: str
    network: str = ""
    encoder: str | None = None
    model: Path | None = None
    full_name: str = ""

    @property
    def slug(self) -> str:
        """Return the full name as a folder's name."""
        return re.sub(r"[^\w.-]+", "-", self.full_name or self.name).strip("-.") or "model"


def entries_of(config: CompareConfig) -> tuple[Entry, ...]:
    """Return what `config` names, networks with each of the encoders.

    Raises:
        InputError: An unknown network, encoder or folder, or the same twice.
    """
    entries: list[Entry] = []
    for word in config.models:
        network, _, encoder = word.partition("/")
        if network in MODELS and not (encoder and Path(word).exists()):
            encoders = (encoder,) if encoder else config.encoders or (None,)
            entries += [_network(network, each) for each in encoders]
        elif Path(word).exists() or word in SHIPPED:
            entries.append(_finished(word))
        else:
            raise unknown("network or folder", word, MODELS, see="atrous models")
    return _named(entries)


def training_config(config: CompareConfig, entry: Entry, seed: int) -> TrainConfig:
    """Return how one cell is trained: everything but the length, which the plan gives."""
    weights = config.weights
    if not isinstance(weights, str):
        encoder = entry.encoder or default_encoder(entry.network, {}) or ""
        weights = weights.get(encoder, "auto")
    shared = {name: getattr(config, name) for name in SAME_FOR_ALL}
    if weights == "imagenet" and not (entry.encoder or default_encoder(entry.network, {})):
        weights = "auto"  # a network without an encoder has nothing to fill
    return TrainConfig(
        model=entry.network, encoder=entry.encoder, weights=weights, seed=seed, **shared
    )


def check_finished(entry: Entry, fingerprint: str, classes: Sequence[str]) -> tuple[str, ...]:
    """Require that a finished model was trained on these data, for these classes.

    Returns:
        What the reader should know: that its data are told in words, or not at all.

    Raises:
        InputError: It was not; the message says what differs.
    """
    assert entry.model is not None
    card = read_model_config(entry.model)
    theirs = card.label_set.names
    if tuple(classes) != theirs:
        only_here = [name for name in classes if name not in theirs]
        only_there = [name for name in theirs if name not in classes]
        told = [f"only in the data: {listed(only_here)}"] if only_here else []
        told += [f"only in the model: {listed(only_there)}"] if only_there else []
        told = told or ["the same names in another order"]
        raise InputError(
            f"{entry.name} knows {len(theirs)} classes, the data {len(classes)}, and they differ "
            f"({'; '.join(told)}); compare models of the same classes"
        )
    trained_on = str(card.provenance.get("data", "an unknown source"))
    if not re.fullmatch(HASH, trained_on):
        return (f"trained on {trained_on}: whether it has seen these images cannot be checked",)
    if trained_on != fingerprint:
        raise InputError(
            f"{entry.name} was trained on other data (hash {trained_on[:12]}, here "
            f"{fingerprint[:12]}: files or classes differ), so its score may be of images that it "
            "was trained on; give the data of its run, or train its network anew by name"
        )
    return ()


def _network(network: str, encoder: str | None) -> Entry:
    """Return an entry to train, once its network and encoder have proved to go together."""
    spec = check_model(network, encoder_name=encoder)
    name = f"{network}/{spec.encoder_name}" if spec.encoder_name else network
    return Entry(name, network, encoder, full_name=name)


def _finished(word: str) -> Entry:
    """Return a finished model: one that ships, a model folder, or the one in a run folder."""
    folder = Path(word)
    if not folder.exists():
        return Entry(word, model=find_model(word))
    is_run = (folder / "model").is_dir()
    model = folder / "model" if is_run else folder
    read_model_config(model)  # or it says what is missing
    return Entry(folder.as_posix(), model=model)


def _named(entries: list[Entry]) -> tuple[Entry, ...]:
    """Give each entry the shortest name that tells it from the others."""
    for entry in entries:
        twins = [other for other in entries if other.name == entry.name or _same(other, entry)]
        if len(twins) > 1:
            raise InputError(f"{entry.name} is named twice; leave one of them out")
    networks = [entry.network for entry in entries]
    named = [
        dataclasses.replace(entry, name=entry.network)
        if entry.network and networks.count(entry.network) == 1
        else entry
        for entry in entries
    ]
    slugs = [entry.slug for entry in named]
    repeated = next((slug for slug in slugs if slugs.count(slug) > 1), None)
    if repeated is not None:
        raise InputError(f"two of the models would both be called {repeated}; rename a folder")
    return tuple(named)


def _same(one: Entry, other: Entry) -> bool:
    if one.model is None or other.model is None:
        return False
    return one is not other and one.model.resolve() == other.model.resolve()
