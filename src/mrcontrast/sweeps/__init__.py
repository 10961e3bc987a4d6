"""Many trainings or studies by one command; their state is a file for each job in a folder."""
