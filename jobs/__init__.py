"""Work on collections too big for one process: many GPUs, straight to search_service.

Ray Data (https://docs.ray.io/en/latest/data/data.html) hands out the shards; what is done with
one is ours.
"""
