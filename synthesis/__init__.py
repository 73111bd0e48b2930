"""Synthetic conversations: executable tools, a phrase grammar, and behaviours with quotas."""
