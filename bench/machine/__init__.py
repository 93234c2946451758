"""What this machine is and can do: its facts and peaks, its driver, which CuPy fits it; and its
packages: what `make` brings into .venv.
"""
