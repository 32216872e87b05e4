"""Masks against labels: counting, matching clusters to classes, metrics, and the report."""
