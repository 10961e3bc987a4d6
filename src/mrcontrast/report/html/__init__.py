"""One self-contained HTML page of an evaluation: tables, plots, and a viewer of the volumes."""
