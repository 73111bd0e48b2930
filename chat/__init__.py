"""Conversations with tools and their rendering to text and tokens; nothing here imports torch."""
