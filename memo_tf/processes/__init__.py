"""Processes of this machine: children that die with their parent."""
