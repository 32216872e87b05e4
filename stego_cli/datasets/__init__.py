"""Data sets on disk: where photographs and labels lie, and how what people download comes to lie there.

`prepare.prepare` does the work; `table.DATASETS` has a row for each data set, which a module of its own explains.
"""
