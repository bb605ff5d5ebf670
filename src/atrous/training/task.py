"""The training step: scores, their loss without void, one optimizer step a batch.

What the papers do differently from each other is a `Protocol`, or an option of the augmentation
or of the network; `recipes/` has the choices of each paper. Left to itself a run follows one
protocol for every network, so that they can be compared: DeepLab v3's (Sec. 4.1: SGD, momentum 0.9,
poly decay of power 0.9, batch 16, random scale and flip), with one rate for all layers, weight
decay on every weight of two or more dimensions, the mean loss over labelled pixels at full size.

Auxiliary scores count as much as each network says (`auxiliary_weights`).
"""

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from atrous.models import Scores, SegmentationModel
from atrous.ops import normalise
from atrous.training.averaging import average, averaged_copy
from atrous.training.convolutions import own_convolutions
from atrous.training.losses import Targets, parse_loss
from atrous.training.norm import held_norms, hold_norms
from atrous.training.parameter_groups import parameter_groups
from atrous.training.protocol import Protocol
from atrous.training.ranks import Ranks
from atrous.training.schedules import lr_factor
from atrous.training.supervision import labels_at

__all__ = ["SegmentationTask"]


class SegmentationTask(lightning.LightningModule):
    """Train a network on batches of (images, labels); a batch is one optimizer step.

    A batch is cut into micro-batches whose gradients add up. What a loss is divided by is counted
    over the *whole* batch, that of all processes, so neither cut changes the result (but for the
    batch statistics of batch norm).

    Args:
        model: The network; its `normalization` is applied here, on the device.
        optimizer: "sgd" or "adamw".
        lr: Learning rate that the schedule's factors multiply.
        weight_decay: Of what the protocol lets decay.
        iterations: Steps in all, over which the schedule is planned.
        micro_batch: Images whose activations are held at once.
        seed: Randomness of a step (dropout) is seeded by this and the step's number.
        class_weights: What a pixel of each class counts; None: all the same. The loss is divided
            by the weights of the labelled pixels instead of their number, unless the protocol's
            `loss_divisor` says otherwise.
        protocol: All else that papers do differently.
        classifier: Names of the model's parameters that depend on the number of classes, for
            `protocol.lr_factors`.
        ranks: The processes that share each batch.

    Attributes:
        scores: Mean IoU of every validation so far.
        patient_since: Validations that early stopping does not count.
        rate: Learning rate of the latest step, before the factors of parts.
        figures: What else the journal should have of the latest step.
        whole: Labels of the batch that losses are divided by.
    """

    class_weights: Tensor

    def __init__(  # noqa: PLR0913 - what a step is made of
        self,
        model: SegmentationModel,
        *,
        optimizer: str,
        lr: float,
        weight_decay: float,
        iterations: int,
        micro_batch: int,
        seed: int = 0,
        class_weights: Sequence[float] | None = None,
        protocol: Protocol | None = None,
        classifier: Collection[str] = (),
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.protocol = protocol or Protocol()
        hold_norms(model, self.protocol.norm, self.protocol.norm_momentum)
        self.averaged = averaged_copy(model) if self.protocol.ema is not None else None
        self.classifier = classifier
        self.ranks = ranks or Ranks()
        self.scores: list[float] = []
        self.patient_since = 0
        self.encoder_parts = [p for e in model.encoders for p in e.parameters() if p.requires_grad]
        self.rate = lr
        self.loss = parse_loss(self.protocol.loss)
        self.figures: dict[str, float] = {}
        self.whole = torch.empty(0)
        self._divisors: dict[tuple[int, int], Tensor] = {}  # counted on `whole`
        self.optimizer_name = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.iterations = iterations
        self.micro_batch = micro_batch
        self.seed = seed
        weights = torch.ones(len(model.label_set)) if class_weights is None else class_weights
        self.register_buffer("class_weights", torch.as_tensor(weights), persistent=False)
        self.add_parts()

    def add_parts(self) -> None:
        """Make what else learns beside the network: nothing here."""

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Take one optimizer step; return the batch's loss."""
        images, labels = batch
        step, world = self.global_step, self.ranks.world
        torch.manual_seed((self.seed << 32) + (self.ranks.rank << 24) + step)
        self._hold(is_encoder_frozen=step < self.protocol.freeze_encoder)
        optimizer = self._optimizer_at(step)
        optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        for start in range(0, len(images), self.micro_batch):
            part = slice(start, start + self.micro_batch)
            loss = self.loss_share(images[part], labels[part], labels)
            with self._unshared(start + self.micro_batch < len(images)):
                self.manual_backward(loss * world)  # the processes' gradients are averaged
            total += loss.detach()
        if self.protocol.clip is not None:
            learning = [p for group in optimizer.param_groups for p in group["params"]]
            nn.utils.clip_grad_norm_(learning, self.protocol.clip)
        optimizer.step()
        if self.averaged is not None and self.learns:
            average(self.averaged, self.model, self.protocol.ema or 0.0, step)
        return self.ranks.total(total)

    @property
    def learns(self) -> bool:
        """Whether the network learns in this step."""
        return True

    @property
    def judged(self) -> SegmentationModel:
        """The network that is validated and kept: the averaged one where there is one."""
        return self.model if self.averaged is None else self.averaged

    def loss_share(self, images: Tensor, labels: Tensor, whole: Tensor | None = None) -> Tensor:
        """Return what a micro-batch contributes to the loss of its batch.

        That is the main scores' loss and, by the model's `auxiliary_weights`, the auxiliary ones'.

        Args:
            images: (N, C, H, W), not normalised.
            labels: (N, H, W).
            whole: Labels of the whole batch; None: these are all of it.
        """
        _, scores = self.scored(images)
        return self.scores_share(scores, labels, whole)

    def scored(self, images: Tensor) -> tuple[Tensor, Scores]:
        """Return images as the network sees them, and its scores."""
        x = normalise(images, self.model.normalization)
        x = x.contiguous(memory_format=torch.channels_last)
        with own_convolutions(self.model):
            return x, self.model.score(x)

    def scores_share(self, scores: Scores, labels: Tensor, whole: Tensor | None) -> Tensor:
        """Return the loss of a micro-batch's scores, see `loss_share`."""
        if whole is None or whole is not self.whole:
            self.count_on(labels if whole is None else whole)
        loss = self._map_share(scores.main, labels)
        shares = self.model.auxiliary_weights(len(scores.auxiliary))
        for share, auxiliary in zip(shares, scores.auxiliary, strict=True):
            loss = loss + share * self._map_share(auxiliary, labels)
        return loss

    def count_on(self, whole: Tensor) -> None:
        """Divide by what stands in these labels from now on."""
        self.whole, self._divisors = whole, {}

    def _map_share(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Return the share of one score map, at the size that the protocol supervises at.

        Each map is divided by what is counted on its own labels, as Caffe's layers do: at the
        scores' size there are fewer, and not the same share of them is void.
        """
        at = scores if self.protocol.supervision == "scores" else labels
        size = (at.shape[-2], at.shape[-1])
        if size not in self._divisors:  # counted once a step: all processes must ask alike
            divisors = self.loss.divisors(self.targets(self.whole, size))
            self._divisors[size] = self.ranks.total(divisors)
        return self.loss.share(scores, self.targets(labels, size), self._divisors[size])

    def targets(self, labels: Tensor, size: tuple[int, int]) -> Targets:
        """Return labels at a size, and how they count."""
        corners = self.model.align_corners
        if tuple(labels.shape[-2:]) != size:
            labels = labels_at(labels, size, align_corners=corners)
        ignore = self.model.label_set.ignore_index
        return Targets(labels, self.class_weights, ignore, corners, self.protocol.loss_divisor)

    def _hold(self, *, is_encoder_frozen: bool) -> None:
        """Keep the norms that do not train in eval mode, and the encoder as it is for a while."""
        if self.protocol.freeze_encoder:
            for parameter in self.encoder_parts:
                parameter.requires_grad_(not is_encoder_frozen)
            self.model.train()
            for encoder in self.model.encoders if is_encoder_frozen else ():
                encoder.eval()
        for norm in held_norms(self.model, self.protocol.norm):
            norm.eval()

    def learner(self) -> LightningOptimizer:
        """Return the optimizer whose turn it is: there is one."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        return optimizer

    def _optimizer_at(self, step: int) -> LightningOptimizer:
        """Return the optimizer with the learning rates of a step."""
        optimizer = self.learner()
        factor = lr_factor(
            self.protocol.schedule,
            step,
            self.iterations,
            options=self.protocol.schedule_options,
            warmup=self.protocol.warmup,
            scores=self.scores,
        )
        self.rate = self.lr * factor
        for group in optimizer.param_groups:
            group["lr"] = self.rate * group["lr_factor"]
        return optimizer

    def _unshared(self, is_unshared: bool) -> AbstractContextManager[None]:
        """Keep gradients to this process while they add up; the last backward shares them."""
        wrapper = self.trainer.model
        if is_unshared and isinstance(wrapper, DistributedDataParallel):
            unshared: AbstractContextManager[None] = wrapper.no_sync()
            return unshared
        return nullcontext()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the normalisation, which a trained model may have brought, and the scores so far."""
        checkpoint["normalization"] = self.model.normalization.to_json()
        checkpoint["scores"] = list(self.scores)
        checkpoint["patient_since"] = self.patient_since

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the scores so far up again: the plateau schedule and early stopping need them."""
        self.scores = [float(score) for score in checkpoint.get("scores", ())]
        self.patient_since = int(checkpoint.get("patient_since", 0))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the optimizer with its groups of parameters, as a list of one."""
        found = parameter_groups(
            self.model,
            weight_decay=self.weight_decay,
            decayed=self.protocol.decayed,
            factors=self.protocol.lr_factors,
            classifier=self.classifier,
        )
        groups: list[dict[str, object]] = [{**group} for group in found]
        if self.optimizer_name == "adamw":  # in one pass, for which weights, gradients and moments
            # must lie alike in memory: autograd and checkpoints keep them so
            return [torch.optim.AdamW(groups, lr=self.lr, fused=True)]
        return [torch.optim.SGD(groups, lr=self.lr, momentum=self.protocol.momentum)]
