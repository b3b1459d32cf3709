"""The models: their configuration, the variants by name, and how they are built."""
