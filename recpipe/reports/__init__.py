"""The look of every page and chart: one template and stylesheet, one style of drawing."""
