"""The public API: a data set from frames, learners that are fitted and recommend, and a shop from Python."""
