"""The dense conditional random field that sharpens a model's probabilities along the photograph's edges."""

from stego_cli.crf.refine import CHOICES, ENGINES, choose_engine, refine

__all__ = ["CHOICES", "ENGINES", "choose_engine", "refine"]
