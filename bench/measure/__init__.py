"""The parent of the workers: which cell next, one visit to it, what happened meanwhile."""
