"""Looks at all files of a dataset, once, and tells what is wrong with them and what they hold."""
