"""Augmentation of training images, with the same pixels as timm on Pillow."""
