"""Published facts about the datasets and the attention types. Needs neither Keras nor NumPy."""
