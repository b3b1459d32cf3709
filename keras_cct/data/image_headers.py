"""Largest image that is read, wherever images come from."""

MAX_PIXELS = 178_956_970
"""Largest number of pixels of an image, as its header declares them: the limit of Pillow.

A compressed image of a few kilobytes can decode to gigabytes, so headers are checked before anything is decoded.
"""
