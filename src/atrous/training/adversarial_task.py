"""The step of adversarial training: one of two networks learns (Luc et al., NIPS 2016 workshop).

Everything else is `SegmentationTask`'s: in its turn the segmentation network takes the step that it
takes without an adversary, with one more term in the loss; in the other turn the adversary takes
one of its own. Accumulation, several processes and bf16 do to the adversary's losses what they do
to any: they are means over the images of the whole batch, computed in float32 from its logits.

The adversary learns with Adam; the ports of the paper use SGD whose rate they call untuned.
"""

import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor

from atrous.training.adversarial_loss import AdversarialLoss, Judgement
from atrous.training.adversary_options import AdversaryOptions, Turn
from atrous.training.norm import statistics_kept
from atrous.training.protocol import Protocol
from atrous.training.task import SegmentationTask

__all__ = ["AdversarialTask", "task_kind"]


def task_kind(protocol: Protocol) -> type[SegmentationTask]:
    """Return what takes the steps of a protocol."""
    return SegmentationTask if protocol.adversary == "none" else AdversarialTask


class AdversarialTask(SegmentationTask):
    """Train a network and its adversary in turn; a batch is one step of one of the two.

    Attributes:
        adversarial: The adversary and both losses.
        turn: Who learns in this step.
        figures: Of the latest step in which the adversary was asked: the segmentation network's own
            loss, its adversarial term, the adversary's loss and its accuracy.
    """

    adversarial: AdversarialLoss

    def add_parts(self) -> None:
        """Make the adversary."""
        self.turn: Turn = "segmentor"
        self.adversarial = AdversarialLoss(
            len(self.model.label_set),
            len(self.model.normalization.mean),
            adversary=self.protocol.adversary,
            options=AdversaryOptions.of(self.protocol.adversary_options),
            seed=self.seed,
        )
        self._sums = torch.zeros(4)
        self._shown: dict[tuple[int, int], Tensor] = {}

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Take one step of the network whose turn it is; return the segmentation network's loss."""
        self.turn = self.adversarial.options.turn(self.global_step)
        self.adversarial.requires_grad_(self.turn == "adversary")
        self._sums = torch.zeros(4, device=batch[0].device)
        total = super().training_step(batch, batch_idx)
        if self.turn == "alone":
            self.figures = {}
            return total
        sums = self.ranks.total(self._sums)
        names = ("segmentation_loss", "adversary_loss", "adversarial_loss", "adversary_accuracy")
        self.figures = dict(zip(names, sums.tolist(), strict=True))
        return sums[0] + self.adversarial.options.weight * sums[2]

    @property
    def learns(self) -> bool:
        """Whether the segmentation network learns in this step."""
        return self.turn != "adversary"

    def loss_share(self, images: Tensor, labels: Tensor, whole: Tensor | None = None) -> Tensor:
        """Return what a micro-batch contributes to the loss of the network whose turn it is."""
        if self.turn == "alone":
            return super().loss_share(images, labels, whole)
        with (
            torch.set_grad_enabled(self.learns and torch.is_grad_enabled()),
            statistics_kept(self.model, not self.learns),
        ):
            x, scores = self.scored(images)
            segmentation = self.scores_share(scores, labels, whole)
        judged = self._judged(x, scores.main, labels)
        self._sums += torch.stack([segmentation, *judged]).detach()
        if not self.learns:
            return judged.adversary
        return segmentation + self.adversarial.options.weight * judged.segmentor

    def _judged(self, x: Tensor, scores: Tensor, labels: Tensor) -> Judgement:
        """Return this micro-batch's share of the means over the batch's images that have labels."""
        size = self.adversarial.map_size(x, scores)
        judged: Judgement = self.adversarial(scores, self.targets(labels, size), x)
        if size not in self._shown:
            whole = self.targets(self.whole, size)
            shown = (whole.labels != whole.ignore_index).flatten(1).any(1).sum()
            self._shown[size] = self.ranks.total(shown.float()).clamp(min=1)
        return Judgement(*(value / self._shown[size] for value in judged))

    def count_on(self, whole: Tensor) -> None:
        """Divide by what stands in these labels from now on."""
        super().count_on(whole)
        self._shown = {}

    def learner(self) -> LightningOptimizer:
        """Return the optimizer of the network whose turn it is."""
        both = self.optimizers()
        assert isinstance(both, list)
        chosen = both[0 if self.learns else 1]
        assert isinstance(chosen, LightningOptimizer)
        return chosen

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return both optimizers, the segmentation network's first."""
        options = self.adversarial.options
        group = {"params": list(self.adversarial.parameters()), "lr_factor": options.lr / self.lr}
        return [
            *super().configure_optimizers(),
            torch.optim.Adam([group], lr=options.lr, fused=True),
        ]
