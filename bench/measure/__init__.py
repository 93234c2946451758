"""The parent of workers and judge: which cell next, one visit to it, what happened meanwhile."""
