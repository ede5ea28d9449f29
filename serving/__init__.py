"""A local page: drop a picture, see what a network makes of it; and the runs of a folder with their reports."""
