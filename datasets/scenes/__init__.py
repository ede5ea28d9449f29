"""Procedural street scenes: a small world in metres, drawn with a painter's algorithm. `datasets.toy` writes them as files."""
