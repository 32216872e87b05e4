"""Training the head by distilling feature correspondences, and the cluster probe by cosine k-means."""
