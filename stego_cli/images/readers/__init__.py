"""Readers of pictures: a row of the table by format, and a module where one is needed.

What becomes of each kind of picture is in docs/reference/pictures.md.
"""
