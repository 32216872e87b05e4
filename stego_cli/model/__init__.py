"""Backbones and their weights, the head, the probes, and the checkpoint that holds what was trained."""
