"""What must hold of each table: Great Expectations suites, and the process that validates tables with them."""
