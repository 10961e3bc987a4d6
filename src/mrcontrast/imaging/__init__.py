"""Registration, bias correction, masks, alignment and quality of `Volume` and arrays."""
