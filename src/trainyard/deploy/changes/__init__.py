"""What would change between two templates: resources, replacements, permissions."""
