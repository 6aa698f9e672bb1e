"""The loop: watches mark keys dirty, a queue hands them to workers, workers plan, write and report."""
