"""How losses are written, and what is said of those that cannot be meant."""

import pytest

from atrous.errors import InputError
from atrous.training.losses import (
    OHEM,
    Border,
    Combination,
    CrossEntropy,
    Dice,
    Focal,
    Lovasz,
    Tversky,
    parse_loss,
)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("cross_entropy", [(1.0, CrossEntropy())]),
        ("cross_entropy + 0.5 dice", [(1.0, CrossEntropy()), (0.5, Dice())]),
        (" cross_entropy+.5*dice ", [(1.0, CrossEntropy()), (0.5, Dice())]),
        ("2 lovasz + 1e-1*focal", [(2.0, Lovasz()), (0.1, Focal())]),
        ("1e+2 dice", [(100.0, Dice())]),
        ("focal(gamma=1.5)", [(1.0, Focal(gamma=1.5))]),
        ("tversky(alpha = .4 , beta=6e-1)", [(1.0, Tversky(0.4, 0.6))]),
        ("tversky(beta=1e+1) + dice", [(1.0, Tversky(beta=10.0)), (1.0, Dice())]),
        ("ohem()", [(1.0, OHEM())]),
        ("3 border(background=2)", [(3.0, Border(background=2))]),
    ],
)  # fmt: skip
def test_losses_are_read_as_they_are_written(text: str, terms: list[object]) -> None:
    assert parse_loss(text) == Combination(tuple(terms))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cross_entropi", "unknown loss 'cross_entropi'; there are cross_entropy, ohem, focal, "
         "dice, jaccard, tversky, lovasz, border"),
        ("cross_entropy - dice", "cannot be read at 'cross_entropy - dice'; write it like "
         "'cross_entropy + 0.5 dice'"),
        ("cross_entropy +", "cannot be read at ''"),
        ("", "cannot be read at ''"),
        ("dice 0.5", "cannot be read at 'dice 0.5'"),
        ("focal(gamma=2", "cannot be read at"),
        ("0 dice", "the factor of dice is 0, but must be above 0"),
        ("dice(smooth=1)", "loss dice has no option 'smooth'; it has none"),
        ("focal(alpha=1)", "loss focal has no option 'alpha'; it has gamma"),
        ("focal(2)", "loss focal has no option '2'; it has gamma"),
        ("focal(gamma=big)", "loss focal(gamma=big): the value must be a number"),
        ("focal(gamma=nan)", "loss focal(gamma=nan): the value must be a number"),
        ("border(background=0.5)", "border(background=0.5): the value must be a whole number"),
        ("focal(gamma=-1)", "loss focal: gamma is -1, but must be 0 or more"),
        ("cross_entropy(label_smoothing=2)", "label_smoothing is 2, but must lie in 0..1"),
        ("ohem(threshold=7)", "threshold is 7, but must lie in 0..1"),
        ("ohem(min_kept=-0.1)", "min_kept is -0.1, but must lie in 0..1"),
        ("tversky(beta=0)", "loss tversky: beta is 0, but must lie in 0.001..1000, such as 0.7"),
        ("tversky(alpha=-1)", "loss tversky: alpha is -1, but must lie in 0..1000"),
        ("tversky(beta=1e9)", "loss tversky: beta is 1e+09, but must lie in 0.001..1000"),
        ("focal(gamma=2, gamma=3)", "loss focal has two values of gamma; give one"),
        ("border(sigma=0)", "w0 is 10, sigma 0, background 0, but w0 must be 0 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_loss(text)

    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
