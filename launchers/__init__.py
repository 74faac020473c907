"""Sends the units of a study to a cluster.

    python -m launchers.ray_cluster --flagfile=cifar10.flags
    python -m launchers.slurm_array --flagfile=cifar10.flags

A launcher knows a scheduler and nothing about learning. `contract` has what the
launchers share, `tasks` turns units into tasks; docs/launchers.md describes
their use.
"""
