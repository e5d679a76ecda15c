"""GPUs: the engines' device code, compiled for a circuit where it runs."""
