"""Training on many devices with DeepSpeed's ZeRO."""
