"""What people write: scenarios in YAML, and the objects they put to the test."""
