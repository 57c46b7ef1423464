"""The web page; no model code."""
