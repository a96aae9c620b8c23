"""One page that shows what a run gets right and wrong."""
