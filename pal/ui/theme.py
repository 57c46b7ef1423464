"""Colours, type and spacing; nothing is loaded from another machine."""

from __future__ import annotations

import gradio as gr

from pal.settings import REPOSITORY

STYLES = tuple(REPOSITORY / "assets" / name for name in ("style.css", "rate.css", "results.css"))
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")


def theme() -> gr.themes.Base:
    """Gradio's plain theme with local fonts and a quiet accent."""
    return gr.themes.Base(
        primary_hue=gr.themes.colors.teal,
        neutral_hue=gr.themes.colors.slate,
        radius_size=gr.themes.sizes.radius_md,
        text_size=gr.themes.sizes.text_md,
        font=FONT,
        font_mono=MONO,
    )
