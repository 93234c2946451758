"""The child process that holds kernels: set-up, launches, clocks. Nothing here runs in the parent
but `messages` and `environment`, which both sides need.
"""
