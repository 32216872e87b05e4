"""The dense conditional random field that sharpens a model's probabilities along the photograph's edges."""

from stego_cli.crf.engines import CHOICES, ENGINES, Engine, refine, resolve_engine

__all__ = ["CHOICES", "ENGINES", "Engine", "refine", "resolve_engine"]
