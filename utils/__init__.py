"""What every room may use, one subject a file: contracts, errors, files, processes of a run, names, pictures."""
