"""Training on many hosts: finding the cluster, connecting its processes, and ending all of them if one fails."""
