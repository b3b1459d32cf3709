"""Training runs: from a recipe to a run folder with the trained model."""
