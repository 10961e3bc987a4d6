"""Files on disk: NIfTI volumes, tensors, arrays, whole writes."""
