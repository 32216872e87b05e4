"""Watching a training run: histograms, the HTML report, TensorBoard. Nothing here changes what is trained."""
