"""Which cells: a sweep file, its cases, their work; and a layer's own weights from a file."""
