"""Clean conversations to stored tokens and masks, split into train and validation."""
