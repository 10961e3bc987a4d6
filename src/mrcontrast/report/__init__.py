"""Write an evaluation as an HTML page, and draw figures."""
