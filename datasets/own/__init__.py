"""Datasets that a YAML file describes (docs/own_data.md): reading and checking it, its images, labels and splits."""
