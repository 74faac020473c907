"""The training loop, its schedule, strategy, checkpoints and inference."""
