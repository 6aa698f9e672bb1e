"""The two kinds, their conditions and reasons: data and validation, no I/O."""
