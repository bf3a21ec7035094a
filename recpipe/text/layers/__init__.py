"""Layers that lie over a pretrained text model: adapters, a prefix, weights of one byte."""
