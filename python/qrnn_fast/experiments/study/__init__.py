"""The study behind `qrnn-fast compare`: which gradient method trains a network best."""
