"""From raw volumes to a prepared data set: sources, operators, output."""
