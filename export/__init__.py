"""What stands beside exported weights: how servers read replies, checked before an export ends."""
