"""Rule that balances training batches (decision T3), for all engines."""

import numpy as np

from twostamp.utils.typing import Ints


def class_turns(n_classes: int, batch_size: int) -> Ints:
    """List the class of each place in consecutive batches, over one cycle of the remainder: 012 0, 012 1, 012 2
    (T3)."""
    share, rest = divmod(batch_size, n_classes)
    equal = np.tile(np.arange(n_classes), share)
    extra = np.arange(n_classes * rest).reshape(n_classes, rest) % n_classes
    return np.concatenate([np.tile(equal, (n_classes, 1)), extra], axis=1).ravel()
