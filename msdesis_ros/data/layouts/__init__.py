"""Published data sets, and a lab's own stereo frames, as lists of checked samples.

`catalogue.scan` lists the samples of a folder and names what is wrong with it, file by file;
`samples.load` reads one. docs/datasets.md shows the layouts.
"""
