"""ScaledJobs: from readings and running jobs to the jobs to create and to delete."""
