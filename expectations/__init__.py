"""Great Expectations suites, one file per table they guard, and the judge that runs them."""
