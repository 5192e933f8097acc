"""From a stereo pair to a prediction: model cards, backends, and the pipeline used everywhere.

The node, the command line and the benchmarks run this one pipeline. May import `core`, and `nets`
only lazily inside the backend that needs it.
"""
