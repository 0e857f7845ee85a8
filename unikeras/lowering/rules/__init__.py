"""How each layer and operation is lowered: one file a family, found by the registry."""
