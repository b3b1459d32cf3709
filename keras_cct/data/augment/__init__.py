"""Augmentation of training images, pixel-exact with timm on Pillow."""
