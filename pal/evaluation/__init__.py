"""Measuring selections and replies against data."""
