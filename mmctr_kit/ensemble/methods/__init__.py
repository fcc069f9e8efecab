"""The blend methods, one file each."""

from typing import Literal

Method = Literal[
    "mean",
    "best",
    "probability",
    "power",
    "rank",
    "greedy",
    "logistic",
    "lightgbm",
    "lightgbm-context",
    "stack",
]
