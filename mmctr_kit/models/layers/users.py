"""The table of a model that knows its users by number."""

import torch
from torch import nn

from mmctr_kit.models.layers.blocks import EMBEDDING_STD


class UserEmbedding(nn.Embedding):
    """(n_users + 1, dim) vectors of users, N(0, 1e-4), to be looked up by a batch's ``user`` alone.

    Row 0, of users that the model was not trained on, is zero and stays so. Being of this class is
    what makes a table large enough to be worth ``training.user_updates: rows``; see
    :mod:`mmctr_kit.training.user_rows`.
    """

    def __init__(self, n_users: int, dim: int) -> None:
        super().__init__(n_users + 1, dim, padding_idx=0)
        nn.init.normal_(self.weight, std=EMBEDDING_STD)
        with torch.no_grad():
            self.weight[0] = 0
