"""Several devices and machines: who takes part in a run, and whether they are still there."""
