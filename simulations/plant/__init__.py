"""What is scaled: pods, their start-up and service, nodes, tiers and what they cost."""
