"""The process that knows what is right: it draws the inputs, works out the answers in float64 and
compares. It holds no kernel, and a kernel's process holds nothing of it.
"""
