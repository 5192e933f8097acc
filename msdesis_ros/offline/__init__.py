"""The pipeline over many files: lists, folders and videos of pairs, with results on disk.

What the node does to one frame is done to every row, by the same `PerceptionPipeline`. Nothing is
lost silently: what cannot be read is named and skipped, what cannot be written stops the run.
"""
