"""Images and labels: sources, decoding, augmentation and `tf.data` pipelines."""
