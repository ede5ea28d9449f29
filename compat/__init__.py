"""Other systems, a room each: their option files, checkpoints, ways of evaluating, folders of output."""
