"""Building, training and evaluating one model, in a process of its own."""
