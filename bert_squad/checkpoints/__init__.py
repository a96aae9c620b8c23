"""Read and write checkpoints of other programs and of our own."""
