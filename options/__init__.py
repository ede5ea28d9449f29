"""Options: their table, their values, what contradicts itself, and the option files of other systems."""
