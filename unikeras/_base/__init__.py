"""What needs neither Keras nor a framework: files, processes' output, texts, locks."""
