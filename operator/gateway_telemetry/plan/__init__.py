"""Desired state and changes, from spec and what was observed: pure, shared by operator and ``render``."""
