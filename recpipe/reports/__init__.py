"""The look of every page and chart."""
