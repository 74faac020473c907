"""Command lines: flags, flagfiles, exit codes.

The library takes a config, a plan and a directory; only programs read flags.
"""
