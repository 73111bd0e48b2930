"""Fine-tuning: one loop, its backends, loss, optimizer, checkpoints and reports."""
