"""Training runs and comparisons: what the command line does."""
