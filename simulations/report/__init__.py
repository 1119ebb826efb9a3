"""What people get to see: console tables, HTML that works offline, images, JSON and JUnit."""
