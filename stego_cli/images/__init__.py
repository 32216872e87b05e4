"""Photographs and masks on disk: finding, decoding, naming, writing whole, and remembering what was done."""
