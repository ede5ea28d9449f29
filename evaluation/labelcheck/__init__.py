"""Labels that are probably wrong: where a network disagrees, as areas, ranked, with tables and a page of the worst."""
