"""Conversations with tools and their rendering to text and tokens; knows nothing of torch."""
