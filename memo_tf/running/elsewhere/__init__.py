"""Studies of runs that were trained elsewhere, from their predictions alone.

Imports no TensorFlow: the predictions may come from anything.
"""
