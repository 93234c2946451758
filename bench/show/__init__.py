"""What people see: progress, the table, Markdown, charts and slides, all from a run's files."""
