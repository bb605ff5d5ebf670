"""Losses: one idea a file, a literal table of names, and how they are written and added up.

Not lazy like the other rooms: whoever asks for a loss has torch loaded.
"""

from atrous.training.losses.border import Border
from atrous.training.losses.combination import Combination
from atrous.training.losses.cross_entropy import CrossEntropy
from atrous.training.losses.expression import LOSSES, parse_loss
from atrous.training.losses.focal import Focal
from atrous.training.losses.loss import Loss, Targets
from atrous.training.losses.lovasz import Lovasz
from atrous.training.losses.ohem import OHEM
from atrous.training.losses.overlap import Dice, Jaccard, Tversky

__all__ = [
    "LOSSES",
    "OHEM",
    "Border",
    "Combination",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Jaccard",
    "Loss",
    "Lovasz",
    "Targets",
    "Tversky",
    "parse_loss",
]
