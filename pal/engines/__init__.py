"""Engines that run the three variants; chosen by setting."""
