"""What runs beside a training: checkpoints, averages, guards, pictures and progress."""
