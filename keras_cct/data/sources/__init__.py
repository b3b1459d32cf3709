"""Where images and labels come from: folders, TFDS, Keras, IDX and .npz files, the bundled sample."""
