"""Readers of images and labels: folders, TFDS, Keras datasets, IDX and .npz files."""
