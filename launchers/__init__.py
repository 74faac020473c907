"""The units of a study, sent to a cluster; used from a checkout.

    python -m launchers.ray_cluster --flagfile=cifar10.flags --experiment_dir=DIR
    python -m launchers.slurm_array --flagfile=cifar10.flags --experiment_dir=DIR

A launcher knows a scheduler and nothing about learning: `contract` has what they
share, `tasks` how units become tasks, docs/launchers.md how to use them.
"""
