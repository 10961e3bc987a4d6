"""What an evaluation reads and shows: pairs of files, figures, tables, pictures."""
