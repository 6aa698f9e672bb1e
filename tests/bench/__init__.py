"""How fast the operator is, as ratios within one run: the machines are noisy, so wall time alone says little."""
