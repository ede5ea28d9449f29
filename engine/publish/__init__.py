"""A run's network as a folder that can be uploaded as it is: weights, options, a card, the exported files."""
