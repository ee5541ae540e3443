"""Great Expectations suites, one file per table they guard, the judge that runs them and the process it runs in."""
