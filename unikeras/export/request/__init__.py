"""What a call to `export_model` asks for: formats, options, targets, and what a format cannot hold."""
