"""Item features: the item table, item-item similarities, and examples from histories."""

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats32 = NDArray[np.float32]
Floats64 = NDArray[np.float64]
Ints = NDArray[np.int64]
