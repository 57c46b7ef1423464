"""Turns of a chat: selection, strategies, the conversation, its words."""
