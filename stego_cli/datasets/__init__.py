"""Data sets on disk: where photographs and labels lie."""
