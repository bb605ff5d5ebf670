"""The fully connected CRF (Krähenbühl & Koltun, NIPS 2011) that DeepLab v1 and v2 stand on.

How the room is laid out, in the order in which it reads:

- `parameters`, `published`: the two Gaussian kernels, and what each system ran with;
- `inputs`: what may come in (images, probabilities, labels), and which message it gets if not;
- `gaussian`: pixels as points, and the exact O(N^2) filter over them, the oracle;
- `normalise`: the five ways to normalise a kernel;
- `mean_field`: the algorithm in plain, differentiable torch, over any filter, batched;
- `lattice`, `lattice_build`: the permutohedral lattice, which filters in O(N), compiled;
- `lattice_torch`: the same lattice in torch, for a GPU and for gradients;
- `rows`, `iteration`, `engine`: one iteration as one pass over the pixels, compiled, on all cores;
- `dense_crf`: `DenseCRF`, which chooses among them;
- `layer`: `CRFLayer`, mean field as a recurrent layer with learnt weights (CRF-as-RNN).
"""

from typing import TYPE_CHECKING

from atrous._lazy import lazy

if TYPE_CHECKING:
    from atrous.crf.dense_crf import DenseCRF
    from atrous.crf.inputs import label_probabilities
    from atrous.crf.layer import CRFLayer
    from atrous.crf.parameters import Appearance, Smoothness
    from atrous.crf.published import PUBLISHED, Published

__all__ = [
    "PUBLISHED",
    "Appearance",
    "CRFLayer",
    "DenseCRF",
    "Published",
    "Smoothness",
    "label_probabilities",
]

__getattr__ = lazy(
    __name__,
    {
        "PUBLISHED": "published",
        "Appearance": "parameters",
        "CRFLayer": "layer",
        "DenseCRF": "dense_crf",
        "Published": "published",
        "Smoothness": "parameters",
        "label_probabilities": "inputs",
    },
)
