"""Train a stage: trainer, callbacks, resuming, initial weights."""
