"""The child process that holds kernels: inputs, checks, clocks. Nothing here runs in the parent
but `messages` and `environment`, which both sides need.
"""
