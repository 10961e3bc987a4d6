"""Many trainings or studies by one command, which survives what happens to any of them.

All that a sweep knows lies in its folder, a file for each job, so it goes on after any kill.
"""
