"""Masks against labels: counting, matching clusters to classes, figures of merit, and the report."""
