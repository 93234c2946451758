"""What people see: progress, table, Markdown, charts, slides and page, all from a run's files."""
