"""From raw volumes to a prepared data set: sources, operators, and what writes the result."""
