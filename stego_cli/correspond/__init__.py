"""Correspondences to look at and to measure: heat maps of one point, and how well they predict labels."""
