"""A study as a page that is explored; needs no TensorFlow."""
