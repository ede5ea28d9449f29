"""A run: how it is built, resumed, saved, watched and stopped. The loop itself stands in `train.py`."""
