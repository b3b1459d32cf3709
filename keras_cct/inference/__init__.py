"""Predictions and evaluation with Keras models and exported artifacts."""
