"""The fully connected CRF (Krähenbühl & Koltun, NIPS 2011) that DeepLab v1 and v2 stand on.

How the room is laid out, in the order in which it reads:

- `parameters`, `published`: the two Gaussian kernels, and what each system ran with;
- `inputs`: what may come in (images, probabilities, labels), and which message it gets if not;
- `gaussian`: pixels as points, and the exact O(N^2) filter over them, the oracle;
- `normalise`: the five ways to normalise a kernel;
- `mean_field`: the algorithm in plain, differentiable torch, over any filter, batched;
- `lattice_torch`: the permutohedral lattice in torch, which filters in O(N), with gradients;
- `batch`, `layer`: mean field on a GPU, and as a recurrent layer with learnt weights (CRF-as-RNN);
- `dense_crf`, `solve`: `DenseCRF`, and how it comes from checked inputs to marginals.

On the CPU the same algorithm is compiled by numba and shared among threads:

- `threads`, `meeting`, and `atrous.compiling`: how, and where threads wait for each other;
- `packing`, and `row_shapes`, `rows`, `packed_rows`, `squares` in `atrous.ops`: maps of labels as
  rows, and a row as one value in vector registers;
- `simplices`, `lattice_build`, `chains`, `lattice_mass`, `lattice`: the lattice of an image;
- `iteration`: slice, softmax and splat as one pass over the pixels;
- `message_passing`, `engine`: all iterations, and the blur between, as one call that every thread
  makes.

`search` is the papers' grid of parameters; the search itself is evaluation.

Both forms of the lattice are tested against each other, against the exact filter and against
pydensecrf.
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
