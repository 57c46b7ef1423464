"""Dialogues as text and tokens: personas, turns, readers, the one prompt, metrics of text."""
