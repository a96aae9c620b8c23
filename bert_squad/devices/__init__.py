"""What a run computes on: one device, several of a machine, several machines, a TPU."""
