"""Files that are segmented in parts: rasters by windows, stacks by slices, videos by frames.

A row of `table.SOURCES` recognises such a file and opens it as a `source.Source`: parts with an identity, which the
pipeline treats like photographs, and the way from their masks to one mask of the whole file.
"""
