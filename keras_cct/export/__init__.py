"""Exports for deployment, each compared with Keras after it is written."""
