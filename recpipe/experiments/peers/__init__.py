"""The packages that people use, on the same split: implicit's ALS and BM25, RecTools' SASRec, each in its own environment.

The scripts in this folder run there, without recpipe: `implicit_peer`, `rectools_peer`, and `protocol`, which both read.
"""
