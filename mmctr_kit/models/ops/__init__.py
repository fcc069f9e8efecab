"""Operations on packed rows: gathers, segment sums, kernels."""
