"""The legacy program's way of converting and of choosing answers, plainly written, to measure against."""
