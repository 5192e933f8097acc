"""Published data sets in their original form -> the layouts that `data.layouts` reads."""
