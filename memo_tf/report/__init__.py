"""A study as one self-contained page; needs no TensorFlow."""
