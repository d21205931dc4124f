"""Data sources, splits, and the preprocessing that travels with the model. Nothing here imports TensorFlow."""
