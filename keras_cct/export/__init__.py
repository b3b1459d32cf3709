"""Exports for deployment, each verified against Keras."""
