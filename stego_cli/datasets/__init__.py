"""Data sets on disk: their layout, and how they are made from what people download.

`build.build` does the work. `catalogue.DATASETS` has a row for each data set, whose module finds its photographs.
"""
