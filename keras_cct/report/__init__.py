"""Reports: what a run learned, as one HTML file; comparisons of runs; pictures of an evaluation."""
