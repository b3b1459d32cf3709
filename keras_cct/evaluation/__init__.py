"""Evaluation: metrics, calibration and mistakes of a model on labeled images."""
