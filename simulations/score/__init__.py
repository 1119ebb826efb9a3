"""What a run was worth: cost, violations, elasticity, and how sure one can be."""
