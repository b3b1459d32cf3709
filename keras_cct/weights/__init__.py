"""Pretrained weights: registry, downloads, file formats, and the mapping from and to PyTorch."""
